package mutex_test

import (
	"context"
	"errors"
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

// TestAWaitForACachedLockIsReportedOnce: for each caller, and not for the key that stands in the
// line for them.
func TestAWaitForACachedLockIsReportedOnce(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		held := locked(t, mutex.New(bubble.Session(t, etcd), "a", nil))
		var reports atomic.Int64
		s, err := session.New(t.Context(), etcd.Client(t), &session.Options{
			WaitingAfter: 2 * time.Second,
			Hooks: session.Hooks{Waiting: func(context.Context, session.HoldInfo, time.Duration) {
				reports.Add(1)
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		m := cached(s)
		waiting := []<-chan *mutex.Lock{goCached(t, m), goCached(t, m)}
		time.Sleep(3 * time.Second)
		if n := reports.Load(); n != 2 {
			t.Errorf("%d reports of 2 calls", n)
		}
		unlocked(t, held)
		for _, granted := range waiting {
			unlocked(t, <-granted)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
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
