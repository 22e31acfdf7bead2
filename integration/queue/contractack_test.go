package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func ackWith(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, nil)
	enqueue(t, q, nil, "x")
	m := receive(t, q, "x", 1)
	if err := m.AckWith(within(t, patience),
		make([]gateway.Op, queue.MaxAckOps+1)...); !errors.Is(err, queue.ErrTooLarge) {
		t.Errorf("too many operations: %v", err)
	}
	// If the server rejects the transaction, the message stays claimed.
	twice := gateway.OpPut(name+".result", nil)
	if err := m.AckWith(within(t, patience), twice, twice); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("a transaction that cannot be: %v", err)
	}
	if err := m.AckWith(within(t, patience), gateway.OpPut(name+".result", m.Value)); err != nil {
		t.Fatal(err)
	}
	resp, err := p.c.Get(within(t, patience), name+".result")
	if err != nil || len(resp.KVs) != 1 || string(resp.KVs[0].Value) != "x" {
		t.Errorf("%+v, %v", resp, err)
	}
	isEmpty(t, q)
}

func ackTwice(t *testing.T, p pair) {
	q := queue.New(p.a, fresh(t), nil)
	enqueue(t, q, nil, "x")
	m := receive(t, q, "x", 1)
	results := make(chan error, 8)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			results <- []func() error{
				func() error { return m.Ack(within(t, patience)) },
				func() error { return m.Nack(within(t, patience), 0) },
				func() error { return m.Nack(within(t, patience), time.Hour) },
				func() error { return m.Reject(within(t, patience), "") },
			}[i%4]()
		})
	}
	all.Wait()
	close(results)
	n := 0
	for err := range results {
		if err == nil {
			n++
		} else if !errors.Is(err, session.ErrNotHeld) {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d of the ends succeeded", n)
	}
}

// ackTooLate: with a context that has ended, Ack still takes a moment to send its request, and
// Receive does not.
func ackTooLate(t *testing.T, p pair) {
	q := queue.New(p.a, fresh(t), nil)
	enqueue(t, q, nil, "x")
	m := receive(t, q, "x", 1)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Ack(over); err != nil {
		t.Errorf("Ack with an ended context: %v", err)
	}
	if err := m.Ack(within(t, patience)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Ack again: %v", err)
	}
	isEmpty(t, q)
	enqueue(t, q, nil, "y")
	if _, err := q.Receive(over); !errors.Is(err, context.Canceled) ||
		errors.Is(err, gateway.ErrUncertain) {
		t.Errorf("Receive with an ended context: %v", err)
	}
	if _, err := q.Enqueue(over, nil, nil); !errors.Is(err, context.Canceled) ||
		errors.Is(err, gateway.ErrUncertain) {
		t.Errorf("Enqueue with an ended context: %v", err)
	}
	ack(t, receive(t, q, "y", 1))
}

// claimRemoved: if an operator deletes the claim, another consumer receives the item, and the first
// has no effect on it.
func claimRemoved(t *testing.T, p pair) {
	for what, end := range map[string]func(context.Context, *queue.Message) error{
		"Ack":  func(ctx context.Context, m *queue.Message) error { return m.Ack(ctx) },
		"Nack": func(ctx context.Context, m *queue.Message) error { return m.Nack(ctx, 0) },
		"Later": func(ctx context.Context, m *queue.Message) error {
			return m.Nack(ctx, time.Hour)
		},
		"Reject": func(ctx context.Context, m *queue.Message) error { return m.Reject(ctx, "no") },
	} {
		name := fresh(t)
		a, b := queue.New(p.a, name, nil), queue.New(p.b, name, nil)
		enqueue(t, a, nil, "x")
		m := receive(t, a, "x", 1)
		if _, err := p.c.Delete(within(t, patience), m.Key()); err != nil {
			t.Fatal(err)
		}
		again := receive(t, b, "x", 2)
		if err := end(within(t, patience), m); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("%s of a claim that was removed: %v", what, err)
		}
		ack(t, again)
	}
}
