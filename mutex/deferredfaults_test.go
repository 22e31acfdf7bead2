package mutex_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestADeferredUnlockWhoseAnswerIsLost: the Lock that goes with it is held, and a late copy of both
// changes nothing.
func TestADeferredUnlockWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for lost := range 3 {
		for _, applied := range []bool{false, true} {
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				m := mutex.New(bubble.Session(t, etcd), "a", deferUnlock)
				unlocked(t, locked(t, m))
				var copies []*fakeetcd.Call
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if len(copies) <= lost && c.IsTxn("a/") {
						copies = append(copies, c)
						if applied {
							c.Apply()
						}
						return fakeetcd.Lost
					}
					return c.Apply()
				})
				lock := locked(t, m)
				for _, c := range copies {
					c.Apply()
				}
				synctest.Wait()
				keys := etcd.Keys("a/")
				if len(keys) != 1 || lock.Err() != nil || len(copies) != lost+1 {
					t.Fatalf("%d lost, applied %v: %q, %v", len(copies), applied, keys, lock.Err())
				}
				if kv, _ := etcd.Get(keys[0]); kv.CreateRevision != lock.Fence() {
					t.Errorf("fence %d of %d", lock.Fence(), kv.CreateRevision)
				}
				unlocked(t, lock)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if keys := etcd.Keys("a/"); len(keys) > 0 {
					t.Errorf("left: %q", keys)
				}
			})
		}
	}
}

// TestALockThatIsCutOffWithADeferredUnlock leaves neither its own key nor the one before.
func TestALockThatIsCutOffWithADeferredUnlock(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			m := mutex.New(bubble.Session(t, etcd), "a", deferUnlock)
			unlocked(t, locked(t, m))
			var late *fakeetcd.Call
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if late == nil && c.IsTxn("a/") {
					late = c
					if applied {
						c.Apply()
					}
					return c.Silence()
				}
				return c.Apply()
			})
			_, err := m.Lock(bubble.Within(t, time.Second/10))
			if !errors.Is(err, gateway.ErrUncertain) {
				t.Fatalf("Lock = %v", err)
			}
			synctest.Wait()
			if keys := etcd.Keys("a/"); len(keys) > 0 {
				t.Errorf("left: %q", keys)
			}
			late.Apply()
			if keys := etcd.Keys("a/"); len(keys) > 0 {
				t.Errorf("left by a late copy: %q", keys)
			}
			other := mutex.New(bubble.Session(t, etcd), "a", nil)
			unlocked(t, locked(t, other))
			unlocked(t, locked(t, m))
		})
	}
}

// TestADeferredUnlockThatIsRejected is repeated, and the next Lock waits for it.
func TestADeferredUnlockThatIsRejected(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := mutex.New(bubble.Session(t, etcd), "a", deferUnlock)
		unlocked(t, locked(t, m))
		allowed := time.Now().Add(5 * time.Second)
		key := etcd.Keys("a/")[0]
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if deletes(c, key) && time.Now().Before(allowed) {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		next := goCached(t, m)
		if len(next) != 0 {
			t.Error("the next Lock did not wait")
		}
		lock := <-next
		if late := time.Since(allowed); late < 0 || late > 2*time.Second {
			t.Errorf("granted %v after the deletion was allowed", late)
		}
		unlocked(t, lock)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if keys := etcd.Keys("a/"); len(keys) > 0 {
			t.Errorf("left: %q", keys)
		}
	})
}

// deletes reports whether a call is about a key and deletes one.
func deletes(c *fakeetcd.Call, key string) bool {
	return c.IsTxn(key) && bytes.Contains(c.Body, []byte("request_delete"))
}

// TestADeferredUnlockInAFullDatabase deletes the key, although the Lock that goes with it fails.
func TestADeferredUnlockInAFullDatabase(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := mutex.New(bubble.Session(t, etcd), "a", deferUnlock)
		unlocked(t, locked(t, m))
		etcd.Fill(true)
		if _, err := m.Lock(t.Context()); !errors.Is(err, gateway.ErrNoSpace) {
			t.Errorf("Lock = %v", err)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if keys := etcd.Keys("a/"); len(keys) > 0 {
			t.Errorf("left: %q", keys)
		}
		etcd.Fill(false)
		unlocked(t, locked(t, m))
	})
}

// TestADeferredUnlockOfALostSession: the next Lock returns the loss, and nothing hangs.
func TestADeferredUnlockOfALostSession(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		m := mutex.New(s, "a", deferUnlock)
		unlocked(t, locked(t, m))
		etcd.Revoke(s.Lease())
		if _, err := m.Lock(t.Context()); !errors.Is(err, session.ErrLost) {
			t.Errorf("Lock = %v", err)
		}
		if keys := etcd.Keys("a/"); len(keys) > 0 {
			t.Errorf("left: %q", keys)
		}
	})
}
