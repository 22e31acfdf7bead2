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

func cancelWaiting(t *testing.T, f fixture) {
	name := fresh(t)
	a, b := semaphore.New(f.a, name, 3, nil), semaphore.New(f.b, name, 3, nil)
	held := acquire(t, a, 2)
	reason := errors.New("changed my mind")
	for _, s := range []*session.Session{f.a, f.b} {
		m := semaphore.New(s, name, 3, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		heavy := goAcquire(ctx, m, 3)
		joined(t, f.c, name, 2)
		light := goAcquire(t.Context(), m, 1)
		joined(t, f.c, name, 3)
		light.waits(t, s.Client())
		cancel(reason)
		if <-heavy.done; !errors.Is(heavy.err, context.Canceled) || !errors.Is(heavy.err, reason) {
			t.Errorf("Acquire with a cancelled context: %v", heavy.err)
		}
		release(t, light.granted(t))
	}
	joined(t, f.c, name, 1)
	release(t, held)
	release(t, acquire(t, b, 3))
}

// lostSession: all permits of a session are free as soon as its lease is revoked.
func lostSession(t *testing.T, f fixture) {
	name := fresh(t)
	lost := newSession(t, newClient(t, gateway.Config{Endpoints: f.etcd.Endpoints()}), nil)
	var held []*semaphore.Permit
	for range 3 {
		held = append(held, acquire(t, semaphore.New(lost, name, 3, nil), 1))
	}
	waiting := goAcquire(t.Context(), semaphore.New(f.b, name, 3, nil), 3)
	joined(t, f.c, name, 4)
	if err := f.c.Revoke(t.Context(), lost.Lease()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p := waiting.granted(t)
	figure(t, "lease revoked: its permits were granted on after %v",
		time.Since(begin).Round(100*time.Microsecond))
	for _, h := range held {
		<-h.Context().Done()
		if err := h.Err(); !errors.Is(err, session.ErrLost) {
			t.Errorf("cause: %v", err)
		}
		if err := h.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Release after it: %v", err)
		}
	}
	release(t, p)
}

// removed: the deletion of a key ends its hold or wait, and frees its units.
func removed(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	a, b := semaphore.New(f.a, name, 3, nil), semaphore.New(f.b, name, 3, nil)
	held := acquire(t, a, 2)
	waiting := goAcquire(ctx, b, 2)
	joined(t, f.c, name, 2)
	for _, key := range members(t, f.c, name) {
		if key == held.Key() {
			continue
		}
		if _, err := f.c.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if <-waiting.done; !errors.Is(waiting.err, session.ErrKeyDeleted) {
		t.Errorf("a removed waiter: %v", waiting.err)
	}
	waiting = goAcquire(ctx, b, 2)
	joined(t, f.c, name, 2)
	if _, err := f.c.Delete(ctx, held.Key()); err != nil {
		t.Fatal(err)
	}
	release(t, waiting.granted(t))
	select {
	case <-held.Context().Done():
	case <-ctx.Done():
		t.Fatal("the holder did not notice")
	}
	if err := held.Err(); !errors.Is(err, session.ErrKeyDeleted) {
		t.Errorf("cause: %v", err)
	}
	if err := held.Release(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Release after it: %v", err)
	}
	release(t, acquire(t, a, 3))
}

// releaseTooLate: Release works although its context had ended.
func releaseTooLate(t *testing.T, f fixture) {
	name := fresh(t)
	m := semaphore.New(f.a, name, 1, nil)
	p := acquire(t, m, 1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Release(ended); err != nil {
		t.Errorf("Release with an ended context: %v", err)
	}
	release(t, acquire(t, m, 1))
}

// compaction: a waiter is granted its permit also after the log was compacted.
func compaction(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	a, b := semaphore.New(f.a, name, 3, nil), semaphore.New(f.b, name, 3, nil)
	held := acquire(t, a, 3)
	waiting := goAcquire(ctx, b, 2)
	joined(t, f.c, name, 2)
	resp, err := f.c.Put(ctx, name+".noise", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.c.Compact(ctx, resp.Revision); err != nil {
		t.Fatal(err)
	}
	release(t, held)
	release(t, waiting.granted(t))
}

// guard: a write under the guard is applied while the permit is held, and not after it.
func guard(t *testing.T, f fixture) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	m := semaphore.New(f.a, name, 3, nil)
	p := acquire(t, m, 1)
	write := gateway.Txn{
		If:   []gateway.Cmp{p.Guard()},
		Then: []gateway.Op{gateway.OpPut(name+".value", nil)},
	}
	if resp, err := f.c.Txn(ctx, write); err != nil || !resp.Succeeded {
		t.Error(resp, err)
	}
	release(t, p)
	q := acquire(t, m, 1)
	if resp, err := f.c.Txn(ctx, write); err != nil || resp.Succeeded || q.Key() != p.Key() {
		t.Errorf("a write under an old guard: %v, %v", resp, err)
	}
	release(t, q)
	if err := p.Release(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("a second Release: %v", err)
	}
}
