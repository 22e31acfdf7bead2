package inspect

import (
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestAHolderIsShownWithTheRecordOfItsSession: the session of a holder is shown as the session's
// record has it.
func TestAHolderIsShownWithTheRecordOfItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := etcd.Client(t)
		s, err := session.New(t.Context(), c, &session.Options{Name: "me", ParentKey: "outer/1"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(t.Context()) }()
		if _, err := mutex.New(s, "a", nil).Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		infos, err := s.SessionInfos(t.Context(), s.Lease())
		if err != nil {
			t.Fatal(err)
		}
		p, err := Front(t.Context(), c, "a")
		if err != nil || len(p.Members) != 1 || p.Members[0].Session == nil {
			t.Fatal(p, err)
		}
		if got := *p.Members[0].Session; got != infos[s.Lease()] || got.ParentKey != "outer/1" {
			t.Errorf("%+v, want %+v", got, infos[s.Lease()])
		}
	})
}
