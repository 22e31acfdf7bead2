package semaphore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/semaphore"
)

func resizeBothWays(t *testing.T, f fixture) {
	name := fresh(t)
	a, b := semaphore.New(f.a, name, 3, nil), semaphore.New(f.b, name, 3, nil)
	resize(t, a, 2) // before the first Acquire
	one, two := acquire(t, a, 1), acquire(t, b, 1)
	three := goAcquire(t.Context(), b, 2)
	joined(t, f.c, name, 3)
	three.waits(t, f.b.Client())
	resize(t, b, 4) // more than the declared limit
	p := three.granted(t)
	resize(t, a, 2)
	for _, held := range []*semaphore.Permit{one, two, p} {
		if err := held.Err(); err != nil {
			t.Errorf("a Resize took a permit away: %v", err)
		}
	}
	four := goAcquire(t.Context(), a, 1)
	joined(t, f.c, name, 4)
	release(t, one)
	four.waits(t, f.a.Client())
	release(t, two)
	four.waits(t, f.a.Client()) // two of two are held
	release(t, p)
	release(t, four.granted(t))
	if _, err := semaphore.New(f.a, name, 2, nil).TryAcquire(t.Context(), 1); !errors.Is(err,
		semaphore.ErrLimitMismatch) {
		t.Errorf("Resize changed the limit declared: %v", err)
	}
}

// tooHeavy: a waiter that is heavier than the new limit leaves, and does not delay the waiters
// behind it.
func tooHeavy(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	a, b := semaphore.New(f.a, name, 3, nil), semaphore.New(f.b, name, 3, nil)
	held := acquire(t, a, 1)
	heavy := goAcquire(ctx, b, 3)
	joined(t, f.c, name, 2)
	light := goAcquire(ctx, a, 1)
	joined(t, f.c, name, 3)
	resize(t, a, 2)
	if <-heavy.done; !errors.Is(heavy.err, semaphore.ErrExceedsLimit) {
		t.Errorf("a waiter: %v", heavy.err)
	}
	p := light.granted(t)
	if _, err := b.Acquire(ctx, 3); !errors.Is(err, semaphore.ErrExceedsLimit) {
		t.Errorf("Acquire: %v", err)
	}
	if _, err := b.TryAcquire(ctx, 3); !errors.Is(err, semaphore.ErrExceedsLimit) {
		t.Errorf("TryAcquire: %v", err)
	}
	joined(t, f.c, name, 2)
	release(t, held)
	release(t, p)
	for range 20 { // the limit that the mirror last saw is older than the Resize
		resize(t, a, 2)
		release(t, acquire(t, b, 2))
		resize(t, b, 3)
		release(t, acquire(t, b, 3))
	}
}

func mismatch(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	held := acquire(t, semaphore.New(f.a, name, 3, nil), 1)
	other := semaphore.New(f.b, name, 4, nil)
	before := revision(t, f.c)
	for verb, call := range map[string]func() error{
		"Acquire":    func() error { _, err := other.Acquire(ctx, 1); return err },
		"TryAcquire": func() error { _, err := other.TryAcquire(ctx, 1); return err },
		"Do":         func() error { return other.Do(ctx, 1, nil) },
	} {
		err := call()
		if !errors.Is(err, semaphore.ErrLimitMismatch) ||
			!strings.Contains(err.Error(), "declared as 3, here as 4") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if after := revision(t, f.c); after != before {
		t.Errorf("it took %d revisions", after-before)
	}
	if err := other.Resize(ctx, 1); !errors.Is(err, semaphore.ErrLimitMismatch) {
		t.Errorf("Resize: %v", err)
	}
	release(t, held)
}

// declareAnew: when the settings were deleted, another limit can be declared, and waiters return
// ErrLimitMismatch.
func declareAnew(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	held := acquire(t, semaphore.New(f.a, name, 3, nil), 3)
	same := goAcquire(ctx, semaphore.New(f.b, name, 3, nil), 1)
	joined(t, f.c, name, 2)
	if _, err := f.c.Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpPut(name+"//limit", []byte("5")), gateway.OpDelete(name + "//size"),
	}}); err != nil {
		t.Fatal(err)
	}
	if <-same.done; !errors.Is(same.err, semaphore.ErrLimitMismatch) {
		t.Errorf("a waiter: %v", same.err)
	}
	p, err := semaphore.New(f.b, name, 5, nil).TryAcquire(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	waiting := goAcquire(ctx, semaphore.New(f.b, name, 5, nil), 4)
	joined(t, f.c, name, 3)
	if _, err := f.c.Delete(ctx, name+"//", gateway.Prefix()); err != nil {
		t.Fatal(err)
	}
	waiting.waits(t, f.b.Client()) // it has declared five again
	release(t, held)
	release(t, p)
	release(t, waiting.granted(t))
}
