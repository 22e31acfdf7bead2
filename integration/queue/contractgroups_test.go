package queue_test

import (
	"errors"
	"testing"

	"github.com/holdfast-go/holdfast/queue"
)

// groups: the items of a group are delivered one at a time, in order, and do not block others.
func groups(t *testing.T, p pair) {
	name := fresh(t)
	q, other := queue.New(p.a, name, nil), queue.New(p.b, name, nil)
	enqueue(t, q, &queue.EnqueueOptions{Group: "g"}, "g1", "g2")
	enqueue(t, q, nil, "alone")
	first := receive(t, q, "g1", 1)
	ack(t, receive(t, other, "alone", 1))
	isEmpty(t, other)
	ack(t, first)
	ack(t, receive(t, other, "g2", 1))
}

// maxInFlight: all consumers together have so many items at most.
func maxInFlight(t *testing.T, p pair) {
	name := fresh(t)
	opts := &queue.Options{MaxInFlight: 2}
	q, other := queue.New(p.a, name, opts), queue.New(p.b, name, opts)
	enqueue(t, q, nil, "1", "2", "3")
	first := receive(t, q, "1", 1)
	second := receive(t, other, "2", 1)
	isEmpty(t, other)
	ack(t, first)
	ack(t, receive(t, other, "3", 1))
	ack(t, second)
}

// removing: an item is removed by its ID unless it is claimed.
func removing(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, nil)
	ids, err := q.EnqueueAll(within(t, patience), [][]byte{[]byte("1"), []byte("2")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claimed := receive(t, q, "1", 1)
	if err := q.Remove(within(t, patience), ids[0]); !errors.Is(err, queue.ErrClaimed) {
		t.Errorf("Remove of a claimed item = %v", err)
	}
	for _, want := range []error{nil, queue.ErrNoItem} {
		if err := q.Remove(within(t, patience), ids[1]); !errors.Is(err, want) {
			t.Errorf("Remove = %v, want %v", err, want)
		}
	}
	ack(t, claimed)
	isEmpty(t, q)
}

// withoutSession: a producer without a session enqueues, once for each DedupID.
func withoutSession(t *testing.T, p pair) {
	name := fresh(t)
	producer := queue.NewProducer(p.c, name, nil)
	once := &queue.EnqueueOptions{DedupID: "x"}
	for range 2 {
		if _, err := producer.Enqueue(within(t, patience), []byte("1"), once); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := producer.EnqueueAll(within(t, patience), [][]byte{[]byte("2")}, nil); err != nil {
		t.Fatal(err)
	}
	q := queue.New(p.b, name, nil)
	ack(t, receive(t, q, "1", 1))
	ack(t, receive(t, q, "2", 1))
	isEmpty(t, q)
}
