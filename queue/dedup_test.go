package queue_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestDuplicatesAreNotCounted: a duplicate takes no number, returns the ID of the earlier item, and
// waits for no room.
func TestDuplicatesAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		s := open(t, server.Client(t))
		opt := &queue.Options{MaxLength: 2}
		q, other := queue.New(s, "jobs", opt), queue.New(s, "jobs", opt)
		once := &queue.EnqueueOptions{DedupID: "one"}
		put := func(q *queue.Queue, o *queue.EnqueueOptions) string {
			t.Helper()
			id, err := q.Enqueue(t.Context(), []byte("x"), o)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		wantEnqueued := func(n int64) {
			t.Helper()
			if stats, err := q.Stats(t.Context()); err != nil || stats.Enqueued != n {
				t.Fatalf("%+v, %v; want %d enqueued", stats, err, n)
			}
		}
		first := put(q, once)
		for _, again := range []*queue.Queue{q, other, other} {
			if id := put(again, once); id != first {
				t.Errorf("a duplicate has the ID %s, want %s", id, first)
			}
		}
		wantEnqueued(1)
		put(q, nil)
		start := time.Now()
		for _, again := range []*queue.Queue{q, other} {
			if id := put(again, &queue.EnqueueOptions{DedupID: "one", NoWait: true}); id != first {
				t.Errorf("in a full queue a duplicate has the ID %s, want %s", id, first)
			}
			if id := put(again, once); id != first {
				t.Errorf("in a full queue a duplicate has the ID %s, want %s", id, first)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("duplicates waited for %v in a full queue", took)
		}
		wantEnqueued(2)
	})
}

// TestTheLeaseOfADedupIDIsRefused after an answer was lost: the item was not sent, so nothing about
// it is uncertain.
func TestTheLeaseOfADedupIDIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		lost := false
		server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case c.Path != "/lease/grant":
				return c.Apply()
			case !lost:
				lost = true
				return fakeetcd.Lost
			}
			return fakeetcd.Denied()
		})
		_, err := q.Enqueue(t.Context(), nil, &queue.EnqueueOptions{DedupID: "one"})
		if !errors.Is(err, gateway.ErrPermissionDenied) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Enqueue = %v", err)
		}
	})
}
