package core_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestTheCauseOfAContextIsNotTheLossOfAResumedSession: a Resume that is cut off does not report
// that the lease has ended, although the cause of its context is the end of another lease.
func TestTheCauseOfAContextIsNotTheLossOfAResumedSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		s.Orphan()
		ctx, end := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { end(gateway.ErrLeaseNotFound) })
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
		_, err := session.Resume(ctx, etcd.Client(t), s.Lease(), nil)
		if !errors.Is(err, context.Canceled) || errors.Is(err, session.ErrLost) {
			t.Errorf("Resume = %v", err)
		}
		etcd.Script(nil)
	})
}
