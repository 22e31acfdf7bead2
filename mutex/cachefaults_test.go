package mutex_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
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
		// The longest pause of the session is a second and up to half of one more at random.
		if waited := time.Since(asked); waited > 1500*time.Millisecond {
			t.Errorf("granted after %v", waited)
		}
		unlocked(t, locked(t, m))
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

// TestABrokenCachedLockOfALongLine: the session does not follow such a line, and its waiters have
// another key after the loss.
func TestABrokenCachedLockOfALongLine(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		lock := <-farBack(t, etcd, cached(s))
		next := goCached(t, cached(s))
		time.Sleep(2 * time.Second) // the key of a hold is watched after a second
		etcd.Delete("a/" + s.Lease().String())
		synctest.Wait()
		if err := lock.Unlock(t.Context()); !errors.Is(err, session.ErrKeyDeleted) {
			t.Errorf("Unlock = %v", err)
		}
		time.Sleep(time.Minute)
		select {
		case lock := <-next:
			unlocked(t, lock)
		default:
			t.Fatal("the next Lock waits for ever")
		}
	})
}

// farBack returns the lock of a member that had joined a long line.
func farBack(t *testing.T, etcd *fakeetcd.Server, m *mutex.Mutex) <-chan *mutex.Lock {
	t.Helper()
	var ahead []<-chan *mutex.Lock
	for range 20 {
		ahead = append(ahead, goCached(t, mutex.New(bubble.Session(t, etcd), "a", nil)))
	}
	granted := goCached(t, m)
	for _, next := range ahead {
		unlocked(t, <-next)
	}
	return granted
}

// TestACachedLockOfALongLineThatNobodyWants: the only caller leaves just before the lock is
// granted, and the key does not stay.
func TestACachedLockOfALongLineThatNobodyWants(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		ctx, leave := context.WithCancel(t.Context())
		cfg := etcd.Config()
		rt := &http.Transport{DialContext: cfg.DialContext}
		t.Cleanup(rt.CloseIdleConnections)
		var ready atomic.Bool
		cfg.DialContext, cfg.Transport = nil, transport(func(r *http.Request) (*http.Response, error) {
			resp, err := rt.RoundTrip(r)
			if err != nil || r.URL.Path != "/v3/kv/range" || !ready.Load() {
				return resp, err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			leave()
			time.Sleep(time.Nanosecond) // until the caller has left
			resp.Body = io.NopCloser(bytes.NewReader(body))
			return resp, err
		})
		c, err := gateway.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		s, err := session.New(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		var ahead []<-chan *mutex.Lock
		for range 20 {
			ahead = append(ahead, goCached(t, mutex.New(bubble.Session(t, etcd), "a", nil)))
		}
		left := make(chan error, 1)
		go func() {
			_, err := cached(s).Lock(ctx)
			left <- err
		}()
		synctest.Wait()
		for i, next := range ahead {
			lock := <-next
			ready.Store(i == len(ahead)-1)
			unlocked(t, lock)
		}
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("Lock = %v", err)
		}
		ready.Store(false)
		time.Sleep(time.Second)
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("left: %q", keys)
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }
