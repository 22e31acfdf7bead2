package queue_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// release: a released message keeps its place, its attempt does not count, and releases never make
// it a dead letter.
func requeue(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, &queue.Options{MaxAttempts: 2})
	other := queue.New(p.b, name, &queue.Options{MaxAttempts: 2})
	enqueue(t, q, nil, "first", "second")
	for range 3 {
		m := receive(t, q, "first", 1)
		if err := m.Requeue(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		if err := m.Ack(within(t, patience)); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Ack after Requeue: %v", err)
		}
	}
	if err := receive(t, q, "first", 1).Nack(within(t, patience), 0); err != nil {
		t.Fatal(err)
	}
	for range 3 { // beside an attempt that does count
		if err := receive(t, other, "first", 2).Requeue(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	}
	ack(t, receive(t, other, "first", 2))
	ack(t, receive(t, q, "second", 1))
	if left := keysOf(t, p.c, name); !slices.Equal(left, []string{name + "//tail"}) {
		t.Errorf("left behind: %v", left)
	}
}

// tooMany: a concurrency that no process can have is rejected.
func tooMany(t *testing.T, p pair) {
	q := queue.New(p.a, fresh(t), nil)
	for _, n := range []int{math.MinInt, -1, 0, queue.MaxConcurrency + 1, math.MaxInt} {
		if err := q.Consume(within(t, patience), n, nil); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%d: %v", n, err)
		}
	}
}
