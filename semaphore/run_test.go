package semaphore_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestRun: Run acquires a permit again after a Break and after the loss of its session.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		own, operator := errors.New("an error of fn"), semaphore.New(bubble.Session(t, etcd), "a", 3, nil)
		var leases []gateway.LeaseID
		err := semaphore.Run(t.Context(), etcd.Client(t), nil, "a", 3, 2,
			func(ctx context.Context, p *semaphore.Permit) error {
				is, err := operator.Inspect(t.Context())
				if err != nil || is.Used != 2 || p.Weight() != 2 || is.Revision < p.Fence() {
					t.Errorf("%+v, %v", is, err)
				}
				leases = append(leases, is.Members[0].Lease)
				switch len(leases) {
				case 1:
					return operator.Break(t.Context(), p.Key(), p.Fence(), "tidy up")
				case 2:
					etcd.Revoke(is.Members[0].Lease)
					<-ctx.Done()
					return nil
				}
				return own
			})
		if !errors.Is(err, own) || len(leases) != 3 || leases[0] != leases[1] || leases[1] == leases[2] {
			t.Errorf("Run = %v, under the leases %v", err, leases)
		}
		if keys := etcd.Keys("a/"); len(keys) != 2 {
			t.Errorf("left: %v", keys)
		}
	})
}

// TestBreak: the waiter acquires the permit of the holder. The settings are no members.
func TestBreak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		m, other := semaphore.New(bubble.Session(t, etcd), "a", 3, nil),
			semaphore.New(bubble.Session(t, etcd), "a", 3, nil)
		held := acquire(t, m, 3)
		next := make(chan *semaphore.Permit)
		go func() { next <- acquire(t, other, 1) }()
		synctest.Wait()
		if err := other.Break(t.Context(), "a//size", 1, "why not"); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("a setting: %v", err)
		}
		if err := other.Break(t.Context(), held.Key(), held.Fence(), "host on fire"); err != nil {
			t.Error(err)
		}
		release(t, <-next)
		if err := held.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Release = %v", err)
		}
		err := other.Break(t.Context(), held.Key(), held.Fence(), "again")
		if !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("again: %v", err)
		}
	})
}
