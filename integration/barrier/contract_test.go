package barrier_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		a, b := newSession(t, c), newSession(t, newClient(t, cfg))
		for name, test := range map[string]func(*testing.T, *session.Session, *session.Session){
			"Hold":       hold,
			"Persistent": persistent,
			"Bound":      bound,
			"Double":     double,
			"Replaced":   replaced,
			"Displaced":  displaced,
			"Cyclic":     cyclic,
			"Latch":      latch,
			"Mismatch":   mismatch,
			"Cut off":    cutOff,
			"Bad":        bad,
			"Inspect":    inspect,
			"Client":     withClient,
		} {
			t.Run(name, func(t *testing.T) { test(t, a, b) })
		}
	})
}

// compact writes and compacts a few revisions.
func compact(t *testing.T, s *session.Session) {
	t.Helper()
	for range 20 {
		resp, err := s.Client().Put(t.Context(), "noise", nil)
		if err == nil {
			err = s.Client().Compact(t.Context(), resp.Revision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func hold(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	bar := barrier.New(b, name)
	if err := bar.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	first, err := barrier.New(a, name).Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second, err := bar.Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := soon(func() error { return bar.Wait(ctx) })
	waits(t, b.Client(), done, "Wait")
	compact(t, a)
	if err := first.Release(ctx); err != nil {
		t.Error(err)
	}
	waits(t, b.Client(), done, "Wait for the second")
	if err := second.Release(ctx); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := first.Release(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Release again: %v", err)
	}
	for range 50 { // a Wait after Hold has returned never sees the state before it
		h, err := barrier.New(a, name).Hold(ctx)
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		if err := bar.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		cancel()
		if err := h.Release(ctx); err != nil {
			t.Error(err)
		}
	}
}

func persistent(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	gone := newSession(t, a.Client())
	if err := errors.Join(barrier.New(gone, name).Raise(ctx), barrier.New(gone, name).Raise(ctx),
		gone.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	done := soon(func() error { return barrier.New(b, name).Wait(ctx) })
	waits(t, b.Client(), done, "Wait")
	if err := errors.Join(barrier.New(a, name).Lower(ctx), <-done); err != nil {
		t.Error(err)
	}
	if err := barrier.New(a, name).Lower(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Lower again: %v", err)
	}
}

// bound: the barrier is down when the holder's session ends. A waiter whose own session ends does
// not pass.
func bound(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	holder, lost := newSession(t, a.Client()), newSession(t, a.Client())
	if _, err := barrier.New(holder, name).Hold(ctx); err != nil {
		t.Fatal(err)
	}
	done := soon(func() error { return barrier.New(b, name).Wait(ctx) })
	other := soon(func() error { return barrier.New(lost, name).Wait(ctx) })
	waits(t, b.Client(), done, "Wait")
	if err := b.Client().Revoke(ctx, lost.Lease()); err != nil {
		t.Fatal(err)
	}
	if err := <-other; !errors.Is(err, session.ErrLost) {
		t.Errorf("Wait under a lost session: %v", err)
	}
	waits(t, b.Client(), done, "Wait")
	if err := errors.Join(b.Client().Revoke(ctx, holder.Lease()), <-done); err != nil {
		t.Error(err)
	}
}

func enter(ctx context.Context, s *session.Session, name string, n int) chan error {
	return soon(func() error { _, err := barrier.NewDouble(s, name, n).Enter(ctx); return err })
}

func double(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	for round := int64(1); round <= 3; round++ {
		var all sync.WaitGroup
		for _, s := range []*session.Session{a, b, b} {
			all.Go(func() {
				e, err := barrier.NewDouble(s, name, 3).Enter(ctx)
				if err != nil || e.Round() != round || e.Err() != nil {
					t.Errorf("round %d: %v, %v", round, e, err)
					return
				}
				if err := e.Leave(ctx); err != nil || !errors.Is(e.Err(), session.ErrReleased) {
					t.Error(err, e.Err())
				}
			})
		}
		all.Wait()
		compact(t, a)
	}
}

// replaced: another member may take the place of one that stopped waiting or was lost before the
// round was complete.
func replaced(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	victim := newSession(t, a.Client())
	impatient, cancel := context.WithCancel(ctx)
	first, second, third := enter(ctx, a, name, 4), enter(impatient, b, name, 4),
		enter(ctx, victim, name, 4)
	eventually(t, "join", func() bool { return len(members(t, a.Client(), name)) == 3 })
	cancel()
	if err := errors.Join(a.Client().Revoke(ctx, victim.Lease()), nil); err != nil {
		t.Error(err)
	}
	if x, y := <-second, <-third; !errors.Is(x, context.Canceled) ||
		!errors.Is(y, session.ErrLost) {
		t.Error(x, y)
	}
	eventually(t, "leave", func() bool { return len(members(t, a.Client(), name)) == 1 })
	second, third = enter(ctx, b, name, 4), enter(ctx, b, name, 4)
	waits(t, a.Client(), first, "Enter of three")
	if err := errors.Join(<-enter(ctx, a, name, 4), <-first, <-second, <-third); err != nil {
		t.Error(err)
	}
}

// displaced: a member whose key was removed while another took its place does not pass with the
// round.
func displaced(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	first := enter(ctx, a, name, 3)
	eventually(t, "join", func() bool { return len(members(t, a.Client(), name)) == 1 })
	removed := members(t, a.Client(), name)[0]
	second := enter(ctx, b, name, 3)
	eventually(t, "join", func() bool { return len(members(t, a.Client(), name)) == 2 })
	if _, err := a.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpDelete(removed), gateway.OpPut(name+"/x", nil, gateway.WithLease(a.Lease())),
	}}); err != nil {
		t.Fatal(err)
	}
	if err := <-enter(ctx, b, name, 3); err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
	if err := <-first; !errors.Is(err, session.ErrKeyDeleted) {
		t.Errorf("Enter of the one removed: %v", err)
	}
}

func cyclic(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	await := func(ctx context.Context, s *session.Session) chan error {
		return soon(func() error { _, err := barrier.NewCyclic(s, name, 3).Await(ctx); return err })
	}
	for round := range 4 {
		first, second := await(ctx, a), await(ctx, b)
		eventually(t, "join", func() bool { return len(members(t, a.Client(), name)) == 2 })
		waits(t, a.Client(), first, "Await")
		compact(t, a)
		if round%2 == 1 {
			if err := errors.Join(<-await(ctx, b), <-first, <-second); err != nil {
				t.Error(err)
			}
			continue
		}
		if err := barrier.NewCyclic(a, name, 3).Reset(ctx); err != nil {
			t.Fatal(err)
		}
		if x, y := <-first, <-second; !errors.Is(x, barrier.ErrBroken) ||
			!errors.Is(y, barrier.ErrBroken) {
			t.Error(x, y)
		}
	}
	if err := barrier.NewCyclic(a, name, 3).Reset(ctx); err != nil {
		t.Errorf("Reset with nobody there: %v", err)
	}
}

func latch(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	done := soon(func() error { return barrier.NewLatch(a, name, 3).Wait(ctx) })
	for left := 3; left > 0; left-- {
		if n, err := barrier.NewLatch(a, name, 3).Count(ctx); n != left || err != nil {
			t.Errorf("Count = %d, %v, want %d", n, err, left)
		}
		waits(t, a.Client(), done, "Wait")
		compact(t, a)
		if err := barrier.NewLatch(b, name, 3).CountDown(ctx); err != nil {
			t.Fatal(err)
		}
	}
	open := barrier.NewLatch(b, name, 3)
	if err := errors.Join(<-done, open.CountDown(ctx), open.Wait(ctx)); err != nil {
		t.Error(err)
	}
	if n, err := barrier.NewLatch(a, name, 3).Count(ctx); n != 0 || err != nil {
		t.Errorf("Count = %d, %v", n, err)
	}
	if resp, err := a.Client().Get(ctx, name+"/", gateway.Prefix()); err != nil ||
		len(resp.KVs) != 2 {
		t.Errorf("an open latch is %v, %v", resp, err)
	}
}

func mismatch(t *testing.T, a, b *session.Session) {
	ctx, name := within(t, 20*time.Second), fresh(t)
	first := enter(ctx, a, name, 2)
	eventually(t, "join", func() bool { return len(members(t, a.Client(), name)) == 1 })
	for what, call := range map[string]func() error{
		"Enter": func() error { return <-enter(ctx, b, name, 3) },
		"Await": func() error {
			_, err := barrier.NewCyclic(b, name, 2).Await(ctx)
			return err
		},
		"Reset":     func() error { return barrier.NewCyclic(b, name, 2).Reset(ctx) },
		"CountDown": func() error { return barrier.NewLatch(b, name, 2).CountDown(ctx) },
		"Count":     func() error { _, err := barrier.NewLatch(b, name, 2).Count(ctx); return err },
		"Wait":      func() error { return barrier.NewLatch(b, name, 2).Wait(ctx) },
	} {
		if err := call(); !errors.Is(err, barrier.ErrConfigMismatch) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := errors.Join(<-enter(ctx, b, name, 2), <-first); err != nil {
		t.Error(err)
	}
}

// cutOff: every wait ends with its context, and leaves no key.
func cutOff(t *testing.T, a, b *session.Session) {
	name := fresh(t)
	up, err := barrier.New(a, name+"s").Hold(within(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var e *barrier.Entry
	other := enter(t.Context(), a, name+"l", 2)
	if e, err = barrier.NewDouble(b, name+"l", 2).Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-other; err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string]func(ctx context.Context) error{
		"Barrier.Wait": func(ctx context.Context) error {
			return barrier.New(b, name+"s").Wait(ctx)
		},
		"Enter": func(ctx context.Context) error {
			_, err := barrier.NewDouble(b, name+"d", 2).Enter(ctx)
			return err
		},
		"Leave":       e.Leave,
		"Leave again": e.Leave,
		"Await": func(ctx context.Context) error {
			_, err := barrier.NewCyclic(b, name+"c", 2).Await(ctx)
			return err
		},
		"Latch.Wait": func(ctx context.Context) error {
			return barrier.NewLatch(b, name+"n", 2).Wait(ctx)
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begin := time.Now()
		// on a busy machine
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(begin) > 5*time.Second {
			t.Errorf("%s: %v after %v", what, err, time.Since(begin))
		}
		cancel()
	}
	for _, where := range []string{"d", "c", "n"} {
		eventually(t, "leave", func() bool { return len(members(t, a.Client(), name+where)) == 0 })
	}
	if n := len(members(t, a.Client(), name+"l")); n != 1 {
		t.Errorf("%d members", n)
	}
	if err := up.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func bad(t *testing.T, a, _ *session.Session) {
	ctx := t.Context()
	for _, n := range []int{-1, 0, barrier.MaxParties + 1} {
		_, err := barrier.NewCyclic(a, "bad", n).Await(ctx)
		if x := <-enter(ctx, a, "bad", n); !errors.Is(x, gateway.ErrInvalid) ||
			!errors.Is(err, gateway.ErrInvalid) {
			t.Error(n, x, err)
		}
	}
	if err := barrier.NewLatch(a, "bad", 0).CountDown(ctx); !errors.Is(err, gateway.ErrInvalid) {
		t.Error(err)
	}
	if err := barrier.New(a, "").Raise(ctx); !errors.Is(err, gateway.ErrInvalid) {
		t.Error(err)
	}
	if n := members(t, a.Client(), "bad"); len(n) > 0 {
		t.Error(n)
	}
}
