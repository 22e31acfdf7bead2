package mutex_test

import (
	"context"
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

var detachable = &mutex.Options{Detachable: true}

// lockDetachable acquires the lock "a" in a session of its own.
func lockDetachable(t *testing.T, etcd *fakeetcd.Server) (*session.Session, *mutex.Lock) {
	t.Helper()
	s := bubble.Session(t, etcd)
	lock, err := mutex.New(s, "a", detachable).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, lock
}

func detach(t *testing.T, lock *mutex.Lock, d time.Duration) mutex.Token {
	t.Helper()
	token, err := lock.Detach(t.Context(), d)
	if err != nil {
		t.Fatalf("Detach = %v", err)
	}
	return token
}

// waiting is a Lock of "a" in a session of its own.
type waiting struct {
	lock *mutex.Lock
	done chan struct{}
}

func goLock(t *testing.T, etcd *fakeetcd.Server) *waiting {
	t.Helper()
	w := &waiting{done: make(chan struct{})}
	m := mutex.New(bubble.Session(t, etcd), "a", nil)
	go func() {
		defer close(w.done)
		var err error
		if w.lock, err = m.Lock(t.Context()); err != nil {
			t.Errorf("the waiter: %v", err)
		}
	}()
	synctest.Wait()
	return w
}

func (w *waiting) granted() bool {
	synctest.Wait()
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// applies reports whether a transaction under the guard is applied.
func applies(t *testing.T, c *gateway.Client, guard gateway.Cmp) bool {
	t.Helper()
	resp, err := c.Txn(t.Context(), gateway.Txn{
		If: []gateway.Cmp{guard}, Then: []gateway.Op{gateway.OpPut("guarded", nil)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Succeeded
}

// TestADetachedLockIsAdopted: a waiter is not granted the lock before the adopter has unlocked it.
// The guard of each owner ends with the next, and fences grow up to the waiter's.
func TestADetachedLockIsAdopted(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		giver, lock := lockDetachable(t, etcd)
		etcd.Put("x", "") // a revision between the lock and the waiter
		etcd.Put("x", "")
		waiter := goLock(t, etcd)
		if !applies(t, c, lock.Guard()) {
			t.Error("the guard does not hold")
		}
		token := detach(t, lock, time.Minute)
		if token.Name() != "a" || !errors.Is(lock.Err(), session.ErrReleased) {
			t.Errorf("the token of %q, Err = %v", token.Name(), lock.Err())
		}
		if applies(t, c, lock.Guard()) {
			t.Error("the guard holds after Detach")
		}
		if err := lock.Unlock(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Unlock = %v", err)
		}
		if err := giver.Close(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(50 * time.Second)
		last := lock.Fence()
		for range 2 {
			adopted, err := mutex.Adopt(t.Context(), bubble.Session(t, etcd), token)
			if err != nil {
				t.Fatalf("Adopt = %v", err)
			}
			if adopted.Fence() <= last || !applies(t, c, adopted.Guard()) ||
				applies(t, c, lock.Guard()) {
				t.Errorf("fence %d after %d, or a guard is wrong", adopted.Fence(), last)
			}
			if err := mutex.Renew(t.Context(), c, token, time.Minute); !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("Renew of an adopted lock = %v", err)
			}
			time.Sleep(2 * time.Minute) // longer than the token
			if _, err := adopted.Txn(t.Context(), gateway.Txn{}); err != nil || waiter.granted() {
				t.Errorf("Txn = %v, or the waiter has the lock", err)
			}
			last, lock = adopted.Fence(), adopted
			if token = detach(t, adopted, time.Minute); waiter.granted() {
				t.Error("the waiter has the lock")
			}
		}
		if err := mutex.Release(t.Context(), c, token); err != nil {
			t.Errorf("Release = %v", err)
		}
		if !waiter.granted() || waiter.lock.Fence() <= last {
			t.Errorf("the waiter: %v", waiter.lock)
		}
		if err := mutex.Release(t.Context(), c, token); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("another Release = %v", err)
		}
	})
}

// TestADetachedLockExpires: Renew moves the end, and after it the token is void.
func TestADetachedLockExpires(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		_, lock := lockDetachable(t, etcd)
		waiter := goLock(t, etcd)
		token := detach(t, lock, 10*time.Second)
		time.Sleep(9 * time.Second)
		if err := mutex.Renew(t.Context(), c, token, 20*time.Second); err != nil {
			t.Errorf("Renew = %v", err)
		}
		if time.Sleep(19 * time.Second); waiter.granted() {
			t.Error("the waiter has the lock")
		}
		if time.Sleep(2 * time.Second); !waiter.granted() {
			t.Error("the lock has not expired")
		}
		if err := mutex.Renew(t.Context(), c, token, time.Minute); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Renew = %v", err)
		}
		_, err := mutex.Adopt(t.Context(), bubble.Session(t, etcd), token)
		if !errors.Is(err, session.ErrNotHeld) || waiter.lock.Err() != nil {
			t.Errorf("Adopt = %v", err)
		}
	})
}

// TestOneOfTwoAdopts: of two sessions that adopt a lock at once, one has it.
func TestOneOfTwoAdopts(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		_, lock := lockDetachable(t, etcd)
		token := detach(t, lock, time.Minute)
		results := make(chan error, 2)
		for range 2 {
			s := bubble.Session(t, etcd)
			go func() {
				_, err := mutex.Adopt(t.Context(), s, token)
				results <- err
			}()
		}
		one, two := <-results, <-results
		if (one == nil) == (two == nil) || !errors.Is(errors.Join(one, two), session.ErrNotHeld) {
			t.Errorf("Adopt = %v and %v", one, two)
		}
	})
}

// lostAnswers are the ways in which an answer is lost.
var lostAnswers = map[string]func(*fakeetcd.Call) fakeetcd.Answer{
	"before it is applied": func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Lost },
	"after it is applied":  func(c *fakeetcd.Call) fakeetcd.Answer { c.Apply(); return fakeetcd.Lost },
	"in silence":           func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() },
	"in silence, applied":  func(c *fakeetcd.Call) fakeetcd.Answer { c.Apply(); return c.Silence() },
}

// loseFirst loses the answers to the first n transactions for the key.
func loseFirst(
	etcd *fakeetcd.Server, n int, key string, lose func(*fakeetcd.Call) fakeetcd.Answer,
) {
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if n > 0 && c.IsTxn(key) {
			n--
			return lose(c)
		}
		return c.Apply()
	})
}

// TestALockIsMovedAlthoughAnswersAreLost: each step is repeated until its outcome is known, and a
// waiter is not granted the lock meanwhile.
func TestALockIsMovedAlthoughAnswersAreLost(t *testing.T) {
	t.Parallel()
	for name, lose := range lostAnswers {
		for n := 1; n <= 2; n++ {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					c := etcd.Client(t)
					s, taker := bubble.Session(t, etcd), bubble.Session(t, etcd)
					loseFirst(etcd, n, "a/", lose)
					lock, err := mutex.New(s, "a", detachable).Lock(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					etcd.Put("x", "")
					waiter := goLock(t, etcd)
					loseFirst(etcd, n, lock.Key(), lose)
					token := detach(t, lock, 10*time.Minute)
					loseFirst(etcd, n, lock.Key(), lose)
					adopted, err := mutex.Adopt(t.Context(), taker, token)
					if err != nil {
						t.Fatalf("Adopt = %v", err)
					}
					if waiter.granted() || adopted.Fence() != lock.Fence()+1 ||
						applies(t, c, lock.Guard()) || !applies(t, c, adopted.Guard()) {
						t.Errorf("the waiter has it: %v; fences %d, %d", waiter.granted(),
							lock.Fence(), adopted.Fence())
					}
					loseFirst(etcd, n, lock.Key(), lose)
					if err := adopted.Unlock(t.Context()); err != nil || !waiter.granted() {
						t.Errorf("Unlock = %v", err)
					}
				})
			})
		}
	}
}

// TestAMoveThatIsCutOffReleasesTheLock or leaves it as it was, and nothing blocks the line for
// ever.
func TestAMoveThatIsCutOffReleasesTheLock(t *testing.T) {
	t.Parallel()
	for _, adopt := range []bool{false, true} {
		for name, lose := range lostAnswers {
			t.Run(fmt.Sprint(name, ", adopt ", adopt), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					_, lock := lockDetachable(t, etcd)
					taker := bubble.Session(t, etcd)
					waiter := goLock(t, etcd)
					var token mutex.Token
					if adopt {
						token = detach(t, lock, time.Minute)
					}
					loseFirst(etcd, 1000, lock.Key(), lose)
					ctx := bubble.Within(t, time.Second)
					var err error
					if adopt {
						_, err = mutex.Adopt(ctx, taker, token)
					} else {
						_, err = lock.Detach(ctx, time.Hour)
					}
					if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("it returned %v", err)
					}
					etcd.Script(nil)
					time.Sleep(10 * time.Second)
					if adopt && !waiter.granted() { // it was not adopted
						if err := mutex.Release(t.Context(), etcd.Client(t), token); err != nil {
							t.Errorf("Release = %v", err)
						}
					}
					if !waiter.granted() {
						t.Error("the lock is not free")
					}
				})
			})
		}
	}
}

// TestALockIsFreeWhenItsSessionIsLostDuringDetach, whether Detach was applied or not.
func TestALockIsFreeWhenItsSessionIsLostDuringDetach(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			s, lock := lockDetachable(t, etcd)
			waiter := goLock(t, etcd)
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if !c.IsTxn(lock.Key()) {
					return c.Apply()
				}
				if applied {
					c.Apply()
				}
				etcd.Revoke(s.Lease())
				return fakeetcd.Lost
			})
			_, err := lock.Detach(t.Context(), 10*time.Minute)
			if !errors.Is(err, session.ErrLost) || !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Detach = %v", err)
			}
			if !waiter.granted() {
				t.Error("the lock is not free")
			}
		})
	}
}
