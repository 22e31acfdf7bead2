package holdfasttest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/holdfasttest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func TestAUserMayUseOneLock(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		admin := etcd.Client().Auth()
		steps := []error{
			admin.UserAdd(t.Context(), "root", "secret"),
			admin.UserGrantRole(t.Context(), "root", "root"),
			admin.RoleAdd(t.Context(), "jobs"),
			admin.RoleGrantPermission(t.Context(), "jobs", gateway.PermReadWrite, "jobs/",
				gateway.Prefix()),
			admin.RoleGrantPermission(t.Context(), "jobs", gateway.PermReadWrite,
				"holdfast/sessions/", gateway.Prefix()),
			admin.UserAdd(t.Context(), "worker", "secret"),
			admin.UserGrantRole(t.Context(), "worker", "jobs"),
			admin.Enable(t.Context()),
		}
		if err := errors.Join(steps...); err != nil {
			t.Fatal(err)
		}
		cfg := etcd.Config()
		cfg.Username, cfg.Password, cfg.AllowPlaintextAuth = "worker", "secret", true
		c, err := gateway.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := session.New(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(t.Context())
		lock, err := mutex.New(s, "jobs/nightly", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // renewals keep the token
		if err := lock.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if _, err := c.Get(t.Context(), "other"); !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("Get = %v", err)
		}
		if _, err := etcd.Client().Get(t.Context(), "jobs/"); !errors.Is(err,
			gateway.ErrUnauthenticated) {
			t.Errorf("Get without a name = %v", err)
		}
	})
}
