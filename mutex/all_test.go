package mutex_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/etcdscript"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestLockAllLosesOne: a lock that is lost while another is waited for ends the wait, and none is left.
func TestLockAllLosesOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := etcdscript.Start(t)
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
		if err := <-done; !errors.Is(err, session.ErrRemoved) || errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		synctest.Wait()
		if left := append(etcd.Keys("a/"), etcd.Keys("c/")...); len(left) != 0 || len(etcd.Keys("b/")) != 1 {
			t.Errorf("left: %v, %v", left, etcd.Keys("b/"))
		}
	})
}
