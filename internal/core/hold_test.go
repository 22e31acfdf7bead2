package core_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// held is a hold of a key that was just written, and counts how often the key was freed.
type held struct {
	*core.Hold
	grip *core.Releaser
	free *atomic.Int32
}

func hold(t *testing.T, s *session.Session, key string) held {
	t.Helper()
	out, err := core.Of(s).Write(t.Context(), put(s, key))
	if err != nil {
		t.Fatal(err)
	}
	var free atomic.Int32
	h, grip := core.Of(s).Hold(key, out.Revision, func() { free.Add(1) })
	return held{h, grip, &free}
}

// TestContextAskedLate: the context of a hold that has ended already has the cause of that end.
func TestContextAskedLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		released, lost := hold(t, s, "released"), hold(t, s, "lost")
		if err := released.grip.Release(t.Context()); err != nil {
			t.Error(err)
		}
		etcd.Revoke(s.Lease())
		<-s.Context().Done()
		_ = lost.grip.Release(t.Context())
		if err := context.Cause(released.Context()); !errors.Is(err, session.ErrReleased) ||
			!errors.Is(released.Err(), session.ErrReleased) {
			t.Errorf("released: %v, %v", err, released.Err())
		}
		if err := context.Cause(lost.Context()); !errors.Is(err, session.ErrRevoked) ||
			!errors.Is(lost.Err(), session.ErrRevoked) {
			t.Errorf("lost: %v, %v", err, lost.Err())
		}
	})
}

func TestGuard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		txn := gateway.Txn{If: []gateway.Cmp{h.Guard()}}
		for i, want := range []bool{true, false} {
			resp, err := s.Client().Txn(t.Context(), txn)
			if err != nil || resp.Succeeded != want {
				t.Errorf("%d: %+v, %v", i, resp, err)
			}
			etcd.Delete("a")
			etcd.Put("a", "again")
		}
	})
}
