package mutex_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// runAgain: Run acquires the lock again after a Break and after the loss of its session.
func runAgain(t *testing.T, c *gateway.Client, _, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	m := mutex.New(b, name, nil)
	var leases []gateway.LeaseID
	err := mutex.Run(ctx, c, nil, name, func(run context.Context, lock *mutex.Lock) error {
		who, err := m.Inspect(ctx)
		if err != nil || len(who) != 1 || who[0].Fence != lock.Fence() {
			t.Errorf("Inspect: %+v, %v", who, err)
			return err
		}
		leases = append(leases, who[0].Lease)
		switch len(leases) {
		case 1:
			return m.Break(ctx, lock.Key(), lock.Fence(), "tidy up")
		case 2:
			if err := c.Revoke(ctx, who[0].Lease); err != nil {
				return err
			}
			<-run.Done()
		}
		return nil
	})
	if err != nil || len(leases) != 3 || leases[0] != leases[1] || leases[1] == leases[2] {
		t.Errorf("Run = %v, under the leases %v", err, leases)
	}
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// broken: Break ends the hold that it names, and not a later one with the same key.
func broken(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	m := mutex.New(b, name, nil)
	held := lock(t, a, name)
	err := m.Break(ctx, held.Key(), held.Fence()-1, "too old")
	if !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Break of an earlier fence: %v", err)
	}
	if err := m.Break(ctx, held.Key(), held.Fence(), "tidy up"); err != nil {
		t.Fatal(err)
	}
	err = held.Unlock(ctx)
	why, ok := errors.AsType[*session.BrokenError](err)
	if !errors.Is(err, session.ErrNotHeld) || !ok || why.Reason != "tidy up" || why.By.Name != "b" {
		t.Errorf("Unlock after it: %v", err)
	}
	record, err := c.Get(ctx, fmt.Sprintf("holdfast/broken/%s/%d", name, held.Fence()))
	if err != nil || len(record.KVs) != 1 {
		t.Fatalf("the record: %v, %v", record, err)
	}
	lease, err := c.TimeToLive(ctx, record.KVs[0].Lease, false)
	if err != nil || lease.TTL > session.BreakRetention ||
		lease.TTL < session.BreakRetention-time.Minute {
		t.Errorf("the lease of the record: %v, %v", lease, err)
	}
	again := lock(t, a, name)
	if err := m.Break(ctx, again.Key(), held.Fence(), "again"); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Break of the hold before: %v", err)
	}
	unlock(t, again)
}
