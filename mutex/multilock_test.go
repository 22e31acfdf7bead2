package mutex_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestLockAllLosesOne: a lock that is lost while another is waited for ends the wait, and none is left.
func TestLockAllLosesOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s, other := open(t, etcd), open(t, etcd)
		if _, err := mutex.New(other, "b").Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := mutex.LockAll(within(t, 10*time.Minute), s, "a", "b", "c")
			done <- err
		}()
		time.Sleep(2 * time.Second) // then the key of "a" is watched
		etcd.Delete("a/" + s.Lease().String())
		began := time.Now()
		if err := <-done; !errors.Is(err, session.ErrKeyDeleted) || errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		synctest.Wait()
		if left := append(etcd.Keys("a/"), etcd.Keys("c/")...); len(left) != 0 || len(etcd.Keys("b/")) != 1 {
			t.Errorf("left: %v, %v", left, etcd.Keys("b/"))
		}
	})
}

// TestDowngradeOfWhatIsLost: it is not held, whenever that is found out.
func TestDowngradeOfWhatIsLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(etcd *fakeetcd.Server, s *session.Session, lock *mutex.Lock){
		"key removed": func(etcd *fakeetcd.Server, _ *session.Session, lock *mutex.Lock) { etcd.Delete(lock.Key()) },
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
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd)
				lock, err := mutex.New(s, "a").Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				lose(etcd, s, lock)
				if err := lock.Downgrade(t.Context()); !errors.Is(err, session.ErrNotHeld) || errors.Is(err, gateway.ErrUncertain) {
					t.Error(err)
				}
			})
		})
	}
}
