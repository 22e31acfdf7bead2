package barrier_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/session"
)

// inspect: Inspect shows holders, waiters, members of a round, and the counts of a latch.
func inspect(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	bar, d, l := barrier.New(a, name+"s"), barrier.NewDouble(b, name+"d", 2),
		barrier.NewLatch(a, name+"l", 2)
	held, err := bar.Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if is, err := bar.Inspect(ctx); err != nil || is.Raised || len(is.Members) != 1 ||
		!is.Members[0].Holder || is.Members[0].Fence != held.Fence() || is.Members[0].Session == nil ||
		is.Revision < held.Fence() {
		t.Errorf("a barrier: %+v, %v", is, err)
	}
	first := enter(ctx, a, name+"d", 2)
	eventually(t, "join", func() bool { return len(members(t, a.Client(), name+"d")) == 1 })
	if is, err := d.Inspect(ctx); err != nil || is.Round != 0 || is.Missing != 1 ||
		is.Members[0].Holder {
		t.Errorf("before the round: %+v, %v", is, err)
	}
	e, err := d.Enter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if is, err := d.Inspect(ctx); err != nil || is.Round != 1 || is.Missing != 2 ||
		len(is.Members) != 2 || !is.Members[1].Holder || is.Members[1].Round != 1 ||
		is.Members[1].Key != e.Key() || is.Members[1].Lease != b.Lease() {
		t.Errorf("in the round: %+v, %v", is, err)
	}
	if err := errors.Join(<-first, l.CountDown(ctx), held.Release(ctx)); err != nil {
		t.Error(err)
	}
	if is, err := l.Inspect(ctx); err != nil || is.Missing != 1 || len(is.Members) != 0 {
		t.Errorf("a latch: %+v, %v", is, err)
	}
	_, err = barrier.NewDouble(a, name+"l", 2).Inspect(ctx)
	if !errors.Is(err, barrier.ErrConfigMismatch) {
		t.Errorf("declared otherwise: %v", err)
	}
}
