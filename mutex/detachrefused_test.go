package mutex_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestALockWithoutAFence: a lock can be adopted as often as there are revisions before the waiter.
func TestALockWithoutAFence(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		_, lock := lockDetachable(t, etcd)
		etcd.Put("x", "")
		taker := bubble.Session(t, etcd)
		waiter := goLock(t, etcd)
		token := detach(t, lock, time.Minute)
		var err error
		for moves := 0; err == nil; moves++ {
			var adopted *mutex.Lock
			if adopted, err = mutex.Adopt(t.Context(), taker, token); err == nil {
				token = detach(t, adopted, time.Minute)
			}
			if moves > 100 {
				t.Fatal("it has adopted without end")
			}
		}
		if !errors.Is(err, mutex.ErrNoFence) || waiter.granted() {
			t.Errorf("Adopt = %v", err)
		}
		if err := mutex.Release(t.Context(), etcd.Client(t), token); err != nil || !waiter.granted() {
			t.Errorf("Release = %v, or the waiter does not have the lock", err)
		}
	})
}

// TestDetachIsRefused where it cannot work, and the lock is held as before.
func TestDetachIsRefused(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		plain, err := mutex.New(s, "plain", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, lock := lockDetachable(t, etcd)
		_, notDetachable := plain.Detach(t.Context(), time.Minute)
		_, short := lock.Detach(t.Context(), time.Millisecond)
		_, shared := mutex.NewRWMutex(s, "rw", detachable).RLock(t.Context())
		_, noToken := mutex.Adopt(t.Context(), s, "1:2:3:a/b")
		_, noSession := mutex.Adopt(t.Context(), nil, detach(t, lock, time.Minute))
		for _, err := range []error{
			notDetachable, short, shared, noToken, noSession, lock.Downgrade(t.Context()),
			mutex.Renew(t.Context(), etcd.Client(t), "x", time.Minute),
			mutex.Release(t.Context(), etcd.Client(t), ""),
		} {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("it returned %v", err)
			}
		}
		if plain.Err() != nil {
			t.Error(plain.Err())
		}
	})
}

// TestALockWithoutAFenceIsAcquiredAgain: if another member has joined at the next revision, a
// detachable lock goes behind it.
func TestALockWithoutAFenceIsAcquiredAgain(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		joined := false
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			answer := c.Apply()
			if !joined && c.IsTxn("a/") {
				joined = true
				etcd.Put("a/other", "")
			}
			return answer
		})
		granted := make(chan *mutex.Lock, 1)
		go func() {
			lock, err := mutex.New(s, "a", detachable).Lock(t.Context())
			if err != nil {
				t.Error(err)
			}
			granted <- lock
		}()
		synctest.Wait()
		if keys := etcd.Keys("a/"); len(granted) > 0 || len(keys) != 2 {
			t.Errorf("granted, or the keys are %q", keys)
		}
		other, _ := etcd.Get("a/other")
		etcd.Delete("a/other")
		lock := <-granted
		token := detach(t, lock, time.Minute)
		adopted, err := mutex.Adopt(t.Context(), s, token)
		if err != nil || lock.Fence() <= other.CreateRevision {
			t.Errorf("Adopt = %v, the fences are %d, %d", err, other.CreateRevision, lock.Fence())
		}
		if err := adopted.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestTheLeaseOfADetachOrARenewIsRefused after an answer was lost: the error says why, and nothing
// about the lock is uncertain.
func TestTheLeaseOfADetachOrARenewIsRefused(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		refuse := func() {
			lost := false
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				switch {
				case c.Path != "/lease/grant":
					return c.Apply()
				case !lost:
					lost = true
					return fakeetcd.Lost
				}
				return fakeetcd.Denied()
			})
		}
		check := func(verb string, err error) {
			if !errors.Is(err, gateway.ErrPermissionDenied) || errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("%s = %v", verb, err)
			}
			etcd.Script(nil)
		}
		_, lock := lockDetachable(t, etcd)
		refuse()
		_, err := lock.Detach(t.Context(), time.Minute)
		check("Detach", err)
		token := detach(t, lock, time.Minute)
		client := etcd.Client(t)
		refuse()
		check("Renew", mutex.Renew(t.Context(), client, token, time.Minute))
	})
}

// TestATokenNeedsAClient: a client that is nil is an error.
func TestATokenNeedsAClient(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		_, lock := lockDetachable(t, etcd)
		token := detach(t, lock, time.Minute)
		if err := mutex.Renew(t.Context(), nil, token, time.Minute); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Renew = %v", err)
		}
		if err := mutex.Release(t.Context(), nil, token); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Release = %v", err)
		}
	})
}

// TestATryForADetachableLockDoesNotMeetItself: the first key has no fence left, because a key of a
// lock below it was created right after it, and must be gone before the second.
func TestATryForADetachableLockDoesNotMeetItself(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		joins := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			answer := c.Apply()
			if _, there := etcd.Get("a/" + s.Lease().String()); there {
				if joins++; joins == 1 {
					etcd.Put("a/b/1", "")
				}
			}
			return answer
		})
		lock, err := mutex.New(s, "a", &mutex.Options{Detachable: true}).TryLock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.Detach(t.Context(), time.Minute); err != nil {
			t.Error(err)
		}
	})
}
