package mutex_test

import (
	"context"
	"errors"
	"strings"
	"sync"
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

func cached(s *session.Session) *mutex.Mutex {
	return mutex.New(s, "a", &mutex.Options{Cache: true})
}

func locked(t *testing.T, m *mutex.Mutex) *mutex.Lock {
	t.Helper()
	lock, err := m.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func unlocked(t *testing.T, lock *mutex.Lock) {
	t.Helper()
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// goCached locks in a goroutine.
func goCached(t *testing.T, m *mutex.Mutex) <-chan *mutex.Lock {
	t.Helper()
	granted := make(chan *mutex.Lock, 1)
	go func() {
		lock, err := m.Lock(t.Context())
		if err != nil {
			t.Error(err)
		}
		granted <- lock
	}()
	synctest.Wait()
	return granted
}

// TestACachedLockIsLockedAgainWithoutARequest, until it was unused for a second.
func TestACachedLockIsLockedAgainWithoutARequest(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := cached(bubble.Session(t, etcd))
		unlocked(t, locked(t, m))
		synctest.Wait()
		requests := bubble.Count(etcd)
		for range 7 {
			lock := locked(t, m)
			if err := lock.Err(); err != nil {
				t.Error(err)
			}
			time.Sleep(300 * time.Millisecond)
			unlocked(t, lock)
			if err := lock.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("a second Unlock = %v", err)
			}
			if lock.Context().Err() == nil || lock.Fence() != 0 {
				t.Errorf("after Unlock: %v, fence %d", lock.Context().Err(), lock.Fence())
			}
			time.Sleep(time.Second - 1)
		}
		synctest.Wait()
		if n := requests.Load(); n != 0 || len(etcd.Keys("a/")) != 1 {
			t.Errorf("%d requests, keys %q", n, etcd.Keys("a/"))
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if keys := etcd.Keys("a/"); len(keys) != 0 || requests.Load() != 1 {
			t.Errorf("left after a second: %q, %d requests", keys, requests.Load())
		}
		unlocked(t, locked(t, m))
	})
}

// TestACachedLockIsReleasedForOthers: at once if it is unused, and else after a turn.
func TestACachedLockIsReleasedForOthers(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m, other := cached(bubble.Session(t, etcd)), mutex.New(bubble.Session(t, etcd), "a", nil)
		unlocked(t, locked(t, m))
		synctest.Wait()
		asked := time.Now()
		lock := locked(t, other)
		if waited := time.Since(asked); waited != 0 {
			t.Errorf("an unused lock was granted after %v", waited)
		}
		unlocked(t, lock)

		lock = locked(t, m)
		synctest.Wait()
		next := goCached(t, other)
		began := time.Now()
		var passed atomic.Int64
		var stop atomic.Bool
		var all sync.WaitGroup
		for range 8 { // goroutines that keep it busy
			all.Go(func() {
				for !stop.Load() {
					lock := locked(t, m)
					passed.Add(1)
					time.Sleep(time.Millisecond)
					unlocked(t, lock)
				}
			})
		}
		synctest.Wait()
		unlocked(t, lock)
		lock = <-next
		took := time.Since(began)
		if took < 9*time.Millisecond || took > 11*time.Millisecond || passed.Load() < 9 {
			t.Errorf("granted after %v, passed on %d times", took, passed.Load())
		}
		stop.Store(true)
		unlocked(t, lock)
		all.Wait()
	})
}

// TestACachedLockIsReleasedForGood when something may still be written under it, or its fence is
// known, so that the fences that callers know are different.
func TestACachedLockIsReleasedForGood(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(lock *mutex.Lock){
		"Fence": func(lock *mutex.Lock) { lock.Fence() },
		"Guard": func(lock *mutex.Lock) { lock.Guard() },
		"Key":   func(lock *mutex.Lock) { lock.Key() },
		"Txn": func(lock *mutex.Lock) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", nil)}})
		},
		"Downgrade": func(lock *mutex.Lock) { _ = lock.Downgrade(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				m := cached(bubble.Session(t, etcd))
				lock := locked(t, m)
				next := goCached(t, m)
				use(lock)
				requests := bubble.Count(etcd)
				unlocked(t, lock)
				second := <-next
				if requests.Load() == 0 {
					t.Error("passed on")
				}
				if was := lock.Fence(); second.Fence() <= was {
					t.Errorf("fence %d after %d", second.Fence(), was)
				}
				unlocked(t, second)
			})
		})
	}
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			m := cached(bubble.Session(t, etcd))
			lock := locked(t, m)
			put := gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", nil)}}
			if _, err := lock.Txn(t.Context(), put); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			requests := bubble.Count(etcd)
			unlocked(t, lock)
			unlocked(t, locked(t, m))
			if _, err := lock.Txn(t.Context(), put); !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("Txn after Unlock = %v", err)
			}
			if n := requests.Load(); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
	})
}

// TestABrokenCachedLock: the holder learns of it at once, and the next Lock has a key of its own.
func TestABrokenCachedLock(t *testing.T) {
	t.Parallel()
	for _, used := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			m, other := cached(bubble.Session(t, etcd)), mutex.New(bubble.Session(t, etcd), "a", nil)
			lock := locked(t, m)
			synctest.Wait()
			if !used {
				unlocked(t, lock)
			}
			who, err := other.Inspect(t.Context())
			if err != nil || len(who) != 1 || !who[0].Cached || !who[0].Holder {
				t.Fatalf("Inspect = %+v, %v", who, err)
			}
			if err := other.Break(t.Context(), who[0].Key, who[0].Fence, "why not"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if used {
				if err := lock.Err(); !errors.Is(err, session.ErrKeyDeleted) {
					t.Errorf("Err = %v", err)
				}
				if err := lock.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) {
					t.Errorf("Unlock = %v", err)
				}
			}
			lock = locked(t, m)
			if lock.Fence() <= who[0].Fence {
				t.Errorf("fence %d after %d", lock.Fence(), who[0].Fence)
			}
			unlocked(t, lock)
			unlocked(t, locked(t, other))
		})
	}
}

// TestACachedLockOfALostSession, unused or not: no caller is granted it, and waiters have the
// error.
func TestACachedLockOfALostSession(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			s := bubble.Session(t, etcd)
			m, other := cached(s), mutex.New(bubble.Session(t, etcd), "a", nil)
			held, unused := mutex.New(s, "b", &mutex.Options{Cache: true}), m
			lock := locked(t, held)
			unlocked(t, locked(t, unused))
			waited := make(chan error, 1)
			go func() {
				_, err := held.Lock(t.Context())
				waited <- err
			}()
			synctest.Wait()
			if closed {
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				etcd.Revoke(s.Lease())
				<-s.Context().Done()
			}
			if err := <-waited; !errors.Is(err, session.ErrLost) {
				t.Errorf("a waiter: %v", err)
			}
			if err := lock.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("Unlock = %v", err)
			}
			if _, err := unused.Lock(t.Context()); !errors.Is(err, session.ErrLost) {
				t.Errorf("Lock = %v", err)
			}
			asked := time.Now()
			unlocked(t, locked(t, other))
			if waited := time.Since(asked); waited != 0 {
				t.Errorf("another waited for %v", waited)
			}
		})
	}
}

// TestACachedLockWithAMaxHold: each hold has a limit of its own, and the next holder of the session
// has another key after one that hung.
func TestACachedLockWithAMaxHold(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const most = 2 * time.Second
		m := mutex.New(bubble.Session(t, etcd), "a", &mutex.Options{Cache: true, MaxHold: most})
		for range 5 {
			lock := locked(t, m)
			time.Sleep(900 * time.Millisecond)
			unlocked(t, lock)
		}
		lock := locked(t, m)
		began := time.Now()
		next := <-goCached(t, m)
		if took := time.Since(began); took != most+time.Second {
			t.Errorf("granted after %v", took)
		}
		if err := lock.Unlock(t.Context()); !errors.Is(err, session.ErrOverdue) {
			t.Errorf("Unlock = %v", err)
		}
		unlocked(t, next)
	})
}

// TestACachedLockWithALockDelay is passed on to a waiter, but not kept unused, so that neither an
// Unlock nor the end of the session makes others wait.
func TestACachedLockWithALockDelay(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		opts := &mutex.Options{Cache: true, LockDelay: time.Minute}
		s := bubble.Session(t, etcd)
		m, other := mutex.New(s, "a", opts), mutex.New(bubble.Session(t, etcd), "a", opts)
		lock := locked(t, m)
		next := goCached(t, m)
		requests := bubble.Count(etcd)
		unlocked(t, lock)
		lock = <-next
		if n := requests.Load(); n != 0 {
			t.Errorf("%d requests to pass it on", n)
		}
		unlocked(t, lock)
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("kept: %q", keys)
		}
		etcd.Revoke(s.Lease())
		asked := time.Now()
		lock = locked(t, other)
		if waited := time.Since(asked); waited != 0 {
			t.Errorf("waited for %v", waited)
		}
		unlocked(t, lock)
	})
}

// TestACachedLockWhoseDeletionIsRejected: Unlock returns nil before that, and the session deletes
// the key once it may.
func TestACachedLockWhoseDeletionIsRejected(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m, other := cached(bubble.Session(t, etcd)), cached(bubble.Session(t, etcd))
		lock := locked(t, m)
		synctest.Wait()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if strings.Contains(string(c.Body), "delete") {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		unlocked(t, lock)
		next := goCached(t, other)
		time.Sleep(time.Minute)
		if len(next) > 0 {
			t.Fatal("two hold the lock")
		}
		etcd.Script(nil)
		asked := time.Now()
		unlocked(t, <-next)
		if waited := time.Since(asked); waited > time.Second {
			t.Errorf("granted after %v", waited)
		}
		unlocked(t, locked(t, m))
	})
}

// TestTryLockOfACachedLock: the session that has the key gets it if it is unused, and others
// learn that the holder may have unlocked.
func TestTryLockOfACachedLock(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m, other := cached(bubble.Session(t, etcd)), mutex.New(bubble.Session(t, etcd), "a", nil)
		unlocked(t, locked(t, m))
		synctest.Wait()
		_, err := other.TryLock(t.Context())
		var by *mutex.LockedError
		if !errors.As(err, &by) || !by.Cached {
			t.Errorf("TryLock elsewhere = %v", err)
		}
		requests := bubble.Count(etcd)
		lock, err := m.TryLock(t.Context())
		if err != nil || requests.Load() != 0 {
			t.Fatalf("TryLock = %v, %d requests", err, requests.Load())
		}
		if _, err := m.TryLock(t.Context()); !errors.As(err, &by) || requests.Load() != 0 {
			t.Errorf("TryLock = %v, %d requests", err, requests.Load())
		}
		unlocked(t, lock)
		time.Sleep(2 * time.Second)
		if lock, err = m.TryLock(t.Context()); err != nil {
			t.Fatal(err)
		}
		unlocked(t, lock)
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("kept after TryLock: %q", keys)
		}
	})
}

// TestWaitersOfACachedLock: the first of them joins for all, and keeps no place that only another
// wants.
func TestWaitersOfACachedLock(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m, other := cached(bubble.Session(t, etcd)), mutex.New(bubble.Session(t, etcd), "a", nil)
		lock := locked(t, other)
		leave := make([]context.CancelFunc, 3)
		left := make(chan error, len(leave))
		for i := range leave {
			ctx, cancel := context.WithCancel(t.Context())
			leave[i] = cancel
			go func() {
				lock, err := m.Lock(ctx)
				if err == nil {
					err = lock.Unlock(t.Context())
				}
				left <- err
			}()
			synctest.Wait()
		}
		behind := goCached(t, other)
		if keys := etcd.Keys("a/"); len(keys) != 3 {
			t.Errorf("keys %q", keys)
		}
		leave[0]()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("Lock = %v", err)
		}
		unlocked(t, lock)
		for range leave[1:] {
			if err := <-left; err != nil {
				t.Errorf("Lock = %v", err)
			}
		}
		lock = <-behind
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := m.Lock(ctx)
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("Lock = %v", err)
		}
		synctest.Wait()
		if keys := etcd.Keys("a/"); len(keys) != 1 {
			t.Errorf("left behind: %q", keys)
		}
		unlocked(t, lock)
		leave[1]()
		leave[2]()
	})
}

// TestACachedLockWhoseWatchIsCutOff: the key stays for 10 s at most, because the session does not
// see the waiters.
func TestACachedLockWhoseWatchIsCutOff(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := cached(bubble.Session(t, etcd))
		lock := locked(t, m)
		synctest.Wait()
		etcd.BreakWatches(true)
		began, requests := time.Now(), bubble.Count(etcd)
		for requests.Load() == 0 && time.Since(began) < time.Minute {
			time.Sleep(500 * time.Millisecond)
			unlocked(t, lock)
			lock = locked(t, m)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the key stayed for %v", took)
		}
		etcd.BreakWatches(false)
		unlocked(t, lock)
	})
}

// TestACachedLockThatMayNotBeWatched is released by each Unlock.
func TestACachedLockThatMayNotBeWatched(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := cached(bubble.Session(t, etcd))
		etcd.DenyWatches(true)
		for range 3 {
			lock := locked(t, m)
			synctest.Wait()
			unlocked(t, lock)
			if keys := etcd.Keys("a/"); len(keys) != 0 {
				t.Errorf("kept: %q", keys)
			}
		}
	})
}

// TestCacheIsForPlainLocks.
func TestCacheIsForPlainLocks(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		_, err := mutex.New(s, "a", &mutex.Options{Cache: true, Detachable: true}).Lock(t.Context())
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("a detachable lock: %v", err)
		}
		_, err = mutex.NewRWMutex(s, "a", &mutex.Options{Cache: true}).RLock(t.Context())
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("a RWMutex: %v", err)
		}
	})
}
