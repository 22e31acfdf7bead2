package mutex_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestLockAllEndsWhenOneLockIsLost: when a granted lock is lost, the wait for the others ends, and
// no key remains.
func TestLockAllEndsWhenOneLockIsLost(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		if _, err := mutex.New(other, "b", nil).Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := mutex.LockAll(bubble.Within(t, 10*time.Minute), s, "a", "b", "c")
			done <- err
		}()
		time.Sleep(2 * time.Second) // then the key of "a" is watched
		etcd.Delete("a/" + s.Lease().String())
		began := time.Now()
		if err := <-done; !errors.Is(err, session.ErrKeyDeleted) ||
			errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		synctest.Wait()
		if left := append(etcd.Keys("a/"), etcd.Keys("c/")...); len(left) != 0 ||
			len(etcd.Keys("b/")) != 1 {
			t.Errorf("left: %v, %v", left, etcd.Keys("b/"))
		}
	})
}

// TestDowngradeOfALostLockReturnsErrNotHeld: Downgrade returns ErrNotHeld for a lost lock, also
// when the session does not know of the loss yet.
func TestDowngradeOfALostLockReturnsErrNotHeld(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(etcd *fakeetcd.Server, s *session.Session,
		lock *mutex.Lock){
		"key removed": func(etcd *fakeetcd.Server, _ *session.Session, lock *mutex.Lock) {
			etcd.Delete(lock.Key())
		},
		"revoked on the way": func(etcd *fakeetcd.Server, s *session.Session, _ *mutex.Lock) {
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.Path == "/kv/txn" {
					etcd.Revoke(s.Lease())
				}
				return c.Apply()
			})
		},
		"known": func(etcd *fakeetcd.Server, s *session.Session, _ *mutex.Lock) {
			etcd.Revoke(s.Lease())
			<-s.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				lock, err := mutex.New(s, "a", nil).Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				lose(etcd, s, lock)
				if err := lock.Downgrade(t.Context()); !errors.Is(err, session.ErrNotHeld) ||
					errors.Is(err, gateway.ErrUncertain) {
					t.Error(err)
				}
			})
		})
	}
}

// TestATransactionUnderSeveralLocksNeedsAllOfThem: a transaction under several locks is applied
// while all of them are held, and not afterwards.
func TestATransactionUnderSeveralLocksNeedsAllOfThem(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		locks, err := mutex.LockAll(t.Context(), s, "b", "a")
		if err != nil {
			t.Fatal(err)
		}
		lease := s.Lease().String()
		if keys := locks.Keys(); !slices.Equal(keys, []string{"b/" + lease, "a/" + lease}) {
			t.Errorf("keys %q", keys)
		}
		put := gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", []byte("1"))}}
		if _, err := locks.Txn(t.Context(), put); err != nil {
			t.Fatal(err)
		}
		if kv, ok := etcd.Get("x"); !ok || string(kv.Value) != "1" {
			t.Errorf("x is %q", kv.Value)
		}
		etcd.Delete("a/" + lease)
		put.Then[0] = gateway.OpPut("x", []byte("2"))
		if _, err := locks.Txn(t.Context(), put); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("after one was deleted: %v", err)
		}
		if kv, _ := etcd.Get("x"); string(kv.Value) != "1" {
			t.Errorf("x is %q", kv.Value)
		}
	})
}

// TestTryLockAllTakesAllLocksOrNone: all locks or none, without waiting.
func TestTryLockAllTakesAllLocksOrNone(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		held, err := mutex.New(other, "b", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = mutex.TryLockAll(t.Context(), s, "a", "b", "c")
		var locked *mutex.LockedError
		if !errors.As(err, &locked) || locked.Key != held.Key() || time.Since(began) > time.Second {
			t.Errorf("beside another holder, after %v: %v", time.Since(began), err)
		}
		synctest.Wait()
		if left := append(etcd.Keys("a/"), etcd.Keys("c/")...); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		if _, err := mutex.TryLockAll(t.Context(), s, "a", "a"); !errors.Is(err,
			gateway.ErrInvalid) {
			t.Errorf("one name twice: %v", err)
		}
		if err := held.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := mutex.TryLockAll(t.Context(), s, "a", "b", "c")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mutex.New(other, "c", nil).TryLock(t.Context()); !errors.Is(err,
			mutex.ErrLocked) {
			t.Errorf("another beside it: %v", err)
		}
		last, ok := etcd.Get(all.Keys()[2])
		if !ok || all.Fence() != last.CreateRevision {
			t.Errorf("the fence is %d, the last key is of %d", all.Fence(), last.CreateRevision)
		}
		etcd.Delete(all.Keys()[0])
		time.Sleep(2 * time.Second)
		if all.Context().Err() == nil || !errors.Is(all.Err(), session.ErrKeyDeleted) {
			t.Errorf("after one key was deleted: %v", all.Err())
		}
		if err := all.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Unlock: %v", err)
		}
	})
}

// TestAMemberThatJoinsDuringTryLockAllHasAGreaterFence: a member that joins one of the lines while
// TryLockAll is under way, and so may hold its lock afterwards, has a greater fence. If it does
// not, TryLockAll fails.
func TestAMemberThatJoinsDuringTryLockAllHasAGreaterFence(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			s := bubble.Session(t, etcd)
			put := func() {
				if _, ok := etcd.Get("a/1234"); !ok {
					etcd.Put("a/1234", "") // as a member of another library
				}
			}
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				joins := c.IsTxn("b/" + s.Lease().String())
				if joins && !after {
					put()
				}
				a := c.Apply()
				if joins && after {
					put()
				}
				return a
			})
			all, err := mutex.TryLockAll(t.Context(), s, "a", "b")
			waits, _ := etcd.Get("a/1234")
			var locked *mutex.LockedError
			switch {
			case err == nil && all.Fence() >= waits.CreateRevision:
				t.Errorf("the fence is %d, that of a waiter %d", all.Fence(), waits.CreateRevision)
			case err != nil && (after || !errors.As(err, &locked) || locked.Name != "a" ||
				locked.Key != "a/1234"):
				t.Error(err)
			}
		})
	}
}

// TestTryLockAllPassesLocksBelowItsNames: other locks below the names are no obstacle.
func TestTryLockAllPassesLocksBelowItsNames(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		for i := range 10 { // more than a look at the front shows
			if _, err := mutex.New(other, "a/"+string(rune('a'+i)),
				nil).Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := mutex.TryLockAll(t.Context(), s, "a", "b"); err != nil {
			t.Error(err)
		}
		_, err := mutex.TryLockAll(t.Context(), other, "c", "a")
		var locked *mutex.LockedError
		if !errors.As(err, &locked) || locked.Name != "a" || locked.Lease != s.Lease() {
			t.Errorf("TryLockAll of what is held = %v", err)
		}
		synctest.Wait()
		if left := etcd.Keys("c/"); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestASecondMultiUnlockReleasesTheRest: an Unlock after one that was cut off for some of the locks
// returns nil, once.
func TestASecondMultiUnlockReleasesTheRest(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		all, err := mutex.TryLockAll(t.Context(), s, "a", "b", "c")
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int32
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case c.Path != "/kv/txn":
			case strings.Count(string(c.Body), "request_delete_range") > 1: // so that each goes alone
				return fakeetcd.Error(
					gateway.CodeInvalidArgument, "etcdserver: too many operations in txn request")
			case n.Add(1) > 1:
				return c.Silence()
			}
			return c.Apply()
		})
		err = all.Unlock(bubble.Within(t, 500*time.Millisecond))
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Fatalf("cut off: %v", err)
		}
		etcd.Script(nil)
		if n.Load() < 2 || len(etcd.Keys("a/"))+len(etcd.Keys("b/"))+len(etcd.Keys("c/")) == 3 {
			t.Fatalf("no key was deleted by the first of %d requests", n.Load())
		}
		if err := all.Unlock(t.Context()); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := all.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("a third time: %v", err)
		}
	})
}

// slow is a context of which the first look at Err waits.
type slow struct {
	context.Context
	looks atomic.Int32
	goOn  chan struct{}
}

func (s *slow) Err() error {
	if s.looks.Add(1) == 1 {
		<-s.goOn
	}
	return s.Context.Err()
}

// TestTheLastOfTwoMultiUnlocksReturnsNil: of two Unlocks at once, which release one lock each, the
// last returns nil.
func TestTheLastOfTwoMultiUnlocksReturnsNil(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		all, err := mutex.LockAll(t.Context(), bubble.Session(t, etcd), "a", "b")
		if err != nil {
			t.Fatal(err)
		}
		ctx := &slow{Context: t.Context(), goOn: make(chan struct{})}
		first := make(chan error)
		go func() { first <- all.Unlock(ctx) }()
		synctest.Wait()
		second := all.Unlock(t.Context())
		close(ctx.goOn)
		if err := <-first; err != nil || !errors.Is(second, session.ErrNotHeld) {
			t.Errorf("%v, and the one in between %v", err, second)
		}
	})
}

// TestTheContextOfSeveralLocksEndsBeforeTheNextHolds, also if the next waits in the same process.
func TestTheContextOfSeveralLocksEndsBeforeTheNextHolds(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		for range 300 {
			all, err := mutex.LockAll(t.Context(), s, "a", "b")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				done <- mutex.New(s, "a", nil).Do(t.Context(),
					func(context.Context, *mutex.Lock) error {
						if all.Context().Err() == nil {
							t.Error("the next holds, and the context has not ended")
						}
						return nil
					})
			}()
			if err := all.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
