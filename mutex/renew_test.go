package mutex_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestALateRenewDoesNotShortenALaterOne: a Renew without an answer reaches etcd after the next
// Renew has returned.
func TestALateRenewDoesNotShortenALaterOne(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		_, lock := lockDetachable(t, etcd)
		key := lock.Key()
		waiter := goLock(t, etcd)
		token := detach(t, lock, time.Minute)
		var late *fakeetcd.Call
		etcd.Script(func(call *fakeetcd.Call) fakeetcd.Answer {
			if late == nil && call.IsTxn(key) {
				late = call
				return fakeetcd.Lost
			}
			return call.Apply()
		})
		err := mutex.Renew(t.Context(), c, token, 2*time.Second)
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Renew = %v", err)
		}
		if err := mutex.Renew(t.Context(), c, token, time.Hour); err != nil {
			t.Errorf("another Renew = %v", err)
		}
		late.Apply()
		time.Sleep(10 * time.Minute)
		if waiter.granted() {
			t.Error("the waiter has the lock")
		}
		if err := mutex.Release(t.Context(), c, token); err != nil || !waiter.granted() {
			t.Errorf("Release = %v", err)
		}
	})
}

// TestAnAdoptedLockLeavesNoLease of the time in which it was detached.
func TestAnAdoptedLockLeavesNoLease(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		_, lock := lockDetachable(t, etcd)
		taker := bubble.Session(t, etcd)
		before := etcd.Leases()
		token := detach(t, lock, time.Hour)
		if _, err := mutex.Adopt(t.Context(), taker, token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := etcd.Leases(); n != before {
			t.Errorf("%d leases, not %d", n, before)
		}
	})
}
