package mutex_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

var deferUnlock = &mutex.Options{DeferUnlock: true}

// TestADeferredUnlockGoesWithTheNextLock, or alone after 1 ms.
func TestADeferredUnlockGoesWithTheNextLock(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		requests := bubble.Count(etcd)
		fence := int64(0)
		for i := range 6 {
			lock := locked(t, mutex.New(s, []string{"a", "a", "b"}[i%3], deferUnlock))
			if n := requests.Load(); n != int64(i+1) || lock.Fence() <= fence || lock.Err() != nil {
				t.Fatalf("Lock %d: %d requests, fence %d, %v", i, n, lock.Fence(), lock.Err())
			}
			fence = lock.Fence()
			time.Sleep(time.Second / 2)
			unlocked(t, lock)
			time.Sleep(time.Millisecond - 1)
		}
		synctest.Wait()
		if n := requests.Load(); n != 6 || len(etcd.Keys("a/"))+len(etcd.Keys("b/")) != 1 {
			t.Errorf("%d requests, %q, %q", n, etcd.Keys("a/"), etcd.Keys("b/"))
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := requests.Load(); n != 7 || len(etcd.Keys("a/"))+len(etcd.Keys("b/")) != 0 {
			t.Errorf("after 1 ms: %d requests, %q, %q", n, etcd.Keys("a/"), etcd.Keys("b/"))
		}
	})
}

// TestADeferredUnlockEndsTheLock: nothing is written under it although its key is there.
func TestADeferredUnlockEndsTheLock(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		lock := locked(t, mutex.New(s, "a", deferUnlock))
		unlocked(t, lock)
		if len(etcd.Keys("a/")) != 1 {
			t.Fatal("the key is gone")
		}
		if !errors.Is(lock.Err(), session.ErrReleased) || lock.Context().Err() == nil {
			t.Errorf("Err = %v", lock.Err())
		}
		write := []gateway.Op{gateway.OpPut("x", nil)}
		_, err := lock.Txn(t.Context(), gateway.Txn{Then: write})
		if !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Txn = %v", err)
		}
		if err := lock.Downgrade(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Downgrade = %v", err)
		}
		resp, err := s.Client().Txn(t.Context(),
			gateway.Txn{If: []gateway.Cmp{lock.Guard()}, Then: write})
		if err != nil || resp.Succeeded {
			t.Errorf("under the guard: %+v, %v", resp, err)
		}
		if err := lock.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("a second Unlock = %v", err)
		}
	})
}

// TestAnUnlockIsNotDeferred if a transaction of the caller may still be applied under the lock, or
// if more than the lock's key is deleted.
func TestAnUnlockIsNotDeferred(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(*testing.T, *fakeetcd.Server, *mutex.Lock){
		"Guard": func(_ *testing.T, _ *fakeetcd.Server, l *mutex.Lock) { l.Guard() },
		"Key":   func(_ *testing.T, _ *fakeetcd.Server, l *mutex.Lock) { l.Key() },
		"Txn": func(t *testing.T, etcd *fakeetcd.Server, l *mutex.Lock) {
			t.Helper()
			etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
			put := gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", nil)}}
			if _, err := l.Txn(t.Context(), put); !errors.Is(err, gateway.ErrPermissionDenied) {
				t.Errorf("Txn = %v", err)
			}
			etcd.Script(nil)
		},
		"Downgrade": func(t *testing.T, _ *fakeetcd.Server, l *mutex.Lock) {
			t.Helper()
			if err := l.Downgrade(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"MaxHold": func(*testing.T, *fakeetcd.Server, *mutex.Lock) {
			time.Sleep(time.Second)
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				opts := &mutex.Options{DeferUnlock: true, MaxHold: time.Minute}
				m := mutex.New(bubble.Session(t, etcd), "a", opts)
				lock := locked(t, m)
				use(t, etcd, lock)
				unlocked(t, lock)
				if keys := etcd.Keys("a/"); len(keys) > 0 {
					t.Errorf("left: %q", keys)
				}
				unlocked(t, locked(t, m)) // this one is
				if keys := etcd.Keys("a/"); len(keys) != 1 {
					t.Errorf("a lock that nobody used is not deferred: %q", keys)
				}
			})
		})
	}
}

// TestWaitersOfALockWhoseUnlockIsDeferred: a waiter of the same client is granted the lock at once,
// another 1 ms later.
func TestWaitersOfALockWhoseUnlockIsDeferred(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			s := bubble.Session(t, etcd)
			rw := mutex.NewRWMutex(s, "a", deferUnlock)
			other := mutex.New(bubble.Session(t, etcd), "a", nil)
			if own {
				other = mutex.New(s, "a", deferUnlock)
			}
			lock, err := rw.RLock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			next := goCached(t, other)
			unlocked(t, lock)
			synctest.Wait()
			if (len(next) == 1) != own {
				t.Errorf("own: %v, granted at once: %v", own, len(next))
			}
			began := time.Now()
			lock = <-next
			if waited := time.Since(began); waited > time.Millisecond {
				t.Errorf("granted after %v", waited)
			}
			unlocked(t, lock)
		})
	}
}

// TestTryLockAfterADeferredUnlock of the same session, also of several locks, does not meet the key
// that is about to be deleted. For others the lock is held.
func TestTryLockAfterADeferredUnlock(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		m, other := mutex.New(s, "a", deferUnlock), mutex.New(bubble.Session(t, etcd), "a", nil)
		for range 3 {
			unlocked(t, locked(t, m))
			if _, err := other.TryLock(t.Context()); !errors.Is(err, mutex.ErrLocked) {
				t.Errorf("TryLock of another session = %v", err)
			}
			lock, err := m.TryLock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			unlocked(t, lock)
			all, err := mutex.TryLockAll(t.Context(), s, "b", "a")
			if err != nil {
				t.Fatal(err)
			}
			if err := all.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			unlocked(t, locked(t, m))
			if all, err = mutex.LockAll(t.Context(), s, "a", "b"); err != nil {
				t.Fatal(err)
			}
			if err := all.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if keys := append(etcd.Keys("a/"), etcd.Keys("b/")...); len(keys) > 0 {
			t.Errorf("left: %q", keys)
		}
	})
}

// TestCloseAfterADeferredUnlock deletes the key, and Break does before the session.
func TestCloseAfterADeferredUnlock(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			s := bubble.Session(t, etcd)
			m := mutex.New(s, "a", deferUnlock)
			lock := locked(t, m)
			fence := lock.Fence()
			unlocked(t, lock)
			if broken {
				other := mutex.New(bubble.Session(t, etcd), "a", nil)
				if err := other.Break(t.Context(), etcd.Keys("a/")[0], fence, "why not"); err != nil {
					t.Fatal(err)
				}
				lock = locked(t, m)
				time.Sleep(2 * time.Millisecond)
				if keys := etcd.Keys("a/"); len(keys) != 1 || lock.Err() != nil {
					t.Errorf("after Break: %q, %v", keys, lock.Err())
				}
				unlocked(t, lock)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if keys := etcd.Keys("a/"); len(keys) > 0 {
				t.Errorf("left: %q", keys)
			}
			if err := lock.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("a second Unlock = %v", err)
			}
		})
	}
}

// TestOptionsThatTakeNoDeferUnlock are rejected by the first call.
func TestOptionsThatTakeNoDeferUnlock(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		for i, opts := range []mutex.Options{
			{LockDelay: time.Second}, {Cache: true}, {Detachable: true},
		} {
			opts.DeferUnlock = true
			m := mutex.New(bubble.Session(t, etcd), fmt.Sprint(i), &opts)
			if _, err := m.Lock(t.Context()); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%+v: Lock = %v", opts, err)
			}
			if _, err := m.TryLock(t.Context()); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%+v: TryLock = %v", opts, err)
			}
		}
	})
}

// TestManyDeferredUnlocks need more than one transaction.
func TestManyDeferredUnlocks(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		for range 3 {
			var all []*mutex.Lock
			for i := range 300 {
				all = append(all, locked(t, mutex.New(s, fmt.Sprint("many/", i), deferUnlock)))
			}
			for _, lock := range all {
				unlocked(t, lock)
			}
			lock := locked(t, mutex.New(s, "many/0", deferUnlock))
			if n := len(etcd.Keys("many/")); n >= len(all) {
				t.Errorf("%d keys after the next Lock", n)
			}
			unlocked(t, lock)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if keys := etcd.Keys("many/"); len(keys) > 0 {
				t.Errorf("left: %q", keys)
			}
		}
	})
}
