package semaphore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// runAgain: Run acquires a permit again after a Break and after the loss of its session.
func runAgain(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	m := semaphore.New(f.b, name, 3, nil)
	var leases []gateway.LeaseID
	err := semaphore.Run(ctx, f.c, nil, name, 3, 2,
		func(run context.Context, p *semaphore.Permit) error {
			is, err := m.Inspect(ctx)
			if err != nil || is.Used != 2 || is.Revision < p.Fence() {
				t.Errorf("Inspect: %+v, %v", is, err)
				return err
			}
			leases = append(leases, is.Members[0].Lease)
			switch len(leases) {
			case 1:
				return m.Break(ctx, p.Key(), p.Fence(), "tidy up")
			case 2:
				if err := f.c.Revoke(ctx, is.Members[0].Lease); err != nil {
					return err
				}
				<-run.Done()
			}
			return nil
		})
	if err != nil || len(leases) != 3 || leases[0] != leases[1] || leases[1] == leases[2] {
		t.Errorf("Run = %v, under the leases %v", err, leases)
	}
}

// broken: Break frees the units of the permit that it names.
func broken(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	a, b := semaphore.New(f.a, name, 3, nil), semaphore.New(f.b, name, 3, nil)
	held := acquire(t, a, 3)
	waiting := goAcquire(ctx, b, 1)
	joined(t, f.c, name, 2)
	if err := b.Break(ctx, held.Key(), held.Fence(), "tidy up"); err != nil {
		t.Fatal(err)
	}
	release(t, waiting.granted(t))
	if err := held.Release(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Release after it: %v", err)
	}
	if err := b.Break(ctx, held.Key(), held.Fence(), "again"); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Break again: %v", err)
	}
}
