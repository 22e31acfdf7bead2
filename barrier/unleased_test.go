package barrier

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestABarrierFallsWhenTheKeyOfItsHolderLosesItsLease: a barrier is not up for ever because its
// holder's key lost its lease.
func TestABarrierFallsWhenTheKeyOfItsHolderLosesItsLease(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		held, err := New(bubble.Session(t, etcd), "a").Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // then its key is watched
		s, down := bubble.Session(t, etcd), make(chan error)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { down <- New(s, "a").Wait(ctx) }()
		synctest.Wait()
		etcd.Put(held.Key(), "")
		if err := <-down; err != nil {
			t.Errorf("Wait = %v", err)
		}
		if err := held.Err(); !errors.Is(err, session.ErrKeyDeleted) ||
			held.Context().Err() == nil {
			t.Errorf("Err = %v", err)
		}
		if err := held.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Release = %v", err)
		}
		if left := etcd.Keys("a/"); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// TestAnEntryWhoseKeyLostItsLeaseHoldsNobodyInLeave: an entry whose key lost its lease ends, and
// does not keep the others in Leave.
func TestAnEntryWhoseKeyLostItsLeaseHoldsNobodyInLeave(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		entries := make(chan *Entry)
		for range 2 {
			s := bubble.Session(t, etcd)
			go func() {
				e, err := NewDouble(s, "a", 2).Enter(t.Context())
				if err != nil {
					t.Error(err)
				}
				entries <- e
			}()
		}
		first, second := <-entries, <-entries
		time.Sleep(2 * time.Second) // then the keys are watched
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		left := make(chan error)
		go func() { left <- second.Leave(ctx) }()
		synctest.Wait()
		etcd.Put(first.Key(), "")
		if err := <-left; err != nil {
			t.Errorf("Leave = %v", err)
		}
		if err := first.Err(); !errors.Is(err, session.ErrKeyDeleted) ||
			first.Context().Err() == nil {
			t.Errorf("Err = %v", err)
		}
		if err := first.Leave(ctx); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Leave = %v", err)
		}
	})
}

// TestAWaitEndsWhenItsKeyLosesItsLease: a member that waits for its round returns at once when its
// key loses its lease. That breaks the round of a Cyclic, and frees the place in a Double.
func TestAWaitEndsWhenItsKeyLosesItsLease(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		wait   func(ctx context.Context, s *session.Session) error
		other  error // of the member that waits, too
		passes int   // so many more let it pass
	}{
		"cyclic": {
			func(ctx context.Context, s *session.Session) error {
				_, err := NewCyclic(s, "a", 3).Await(ctx)
				return err
			}, ErrBroken, 0,
		},
		"double": {
			func(ctx context.Context, s *session.Session) error {
				_, err := NewDouble(s, "a", 3).Enter(ctx)
				return err
			}, nil, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin := func() chan error {
					s, done := bubble.Session(t, etcd), make(chan error, 1)
					go func() { done <- row.wait(ctx, s) }()
					synctest.Wait()
					return done
				}
				first := begin()
				keys := etcd.Keys("a/")
				other := begin()
				time.Sleep(2 * time.Second) // then the keys are watched
				began := time.Now()
				for _, key := range keys {
					if key[:3] != "a//" {
						etcd.Put(key, "")
					}
				}
				if err := <-first; !errors.Is(err, session.ErrKeyDeleted) ||
					time.Since(began) > time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				for range row.passes {
					begin()
				}
				if err := <-other; !errors.Is(err, row.other) || time.Since(began) > time.Second {
					t.Errorf("the other, after %v: %v", time.Since(began), err)
				}
			})
		})
	}
}
