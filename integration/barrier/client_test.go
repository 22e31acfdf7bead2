package barrier_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// withClient: waits with a client only, through compactions, return when the barrier is down or the
// latch is open, and lease nothing.
func withClient(t *testing.T, a, b *session.Session) {
	ctx, c, name := within(t, 20*time.Second), b.Client(), fresh(t)
	leases := func() int {
		all, err := c.Leases(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := leases()
	held, err := barrier.New(a, name).Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := soon(func() error { return barrier.Wait(ctx, c, name) })
	open := soon(func() error { return barrier.WaitLatch(ctx, c, name+"l", 1) })
	waits(t, c, done, "Wait")
	waits(t, c, open, "WaitLatch")
	compact(t, a)
	if n := leases(); n != before {
		t.Errorf("%d leases, %d before", n, before)
	}
	if n, err := barrier.CountLatch(ctx, c, name+"l", 1); n != 1 || err != nil {
		t.Errorf("CountLatch = %d, %v", n, err)
	}
	if err := errors.Join(held.Release(ctx), <-done,
		barrier.NewLatch(a, name+"l", 1).CountDown(ctx), <-open); err != nil {
		t.Error(err)
	}
	err = barrier.WaitLatch(ctx, c, name+"l", 2)
	if !errors.Is(err, barrier.ErrConfigMismatch) {
		t.Errorf("for another number: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := barrier.New(a, name).Raise(ctx); err != nil {
		t.Fatal(err)
	}
	if err := barrier.Wait(short, c, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait = %v", err)
	}
	if err := barrier.Wait(ctx, c, ""); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("without a name: %v", err)
	}
}
