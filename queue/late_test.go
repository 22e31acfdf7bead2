package queue_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// try receives an item that is there.
func try(t *testing.T, q *queue.Queue, value string) *queue.Message {
	t.Helper()
	m, err := q.TryReceive(t.Context())
	if err != nil || string(m.Value) != value {
		t.Fatalf("instead of %q: %+v, %v", value, m, err)
	}
	return m
}

// TestTryReceiveWithoutTheWatch: TryReceive returns what there is at the time of the call, although
// the watch reports nothing.
func TestTryReceiveWithoutTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		other := queue.New(open(t, server.Client(t)), "jobs", nil)
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		tryNone(t, q)
		tryNone(t, other)
		synctest.Wait()
		server.BreakWatches(true)
		put(t, other, "new", nil)
		m := try(t, q, "new")
		tryNone(t, other)
		check(m.Nack(t.Context(), 0))
		m = try(t, other, "new")
		tryNone(t, q)
		ack(t, m)
		tryNone(t, q)

		put(t, q, "of a group", &queue.EnqueueOptions{Group: "g"})
		put(t, q, "next of it", &queue.EnqueueOptions{Group: "g"})
		m = try(t, other, "of a group")
		tryNone(t, q)
		check(m.Nack(t.Context(), 5*time.Second))
		tryNone(t, q)
		time.Sleep(5 * time.Second)
		m = try(t, q, "of a group")
		tryNone(t, other)
		ack(t, m)
		ack(t, try(t, other, "next of it"))

		check(other.Pause(t.Context()))
		put(t, other, "late", nil)
		tryNone(t, q)
		check(other.Resume(t.Context()))
		ack(t, try(t, q, "late"))
		put(t, other, "delayed", &queue.EnqueueOptions{Delay: time.Second})
		tryNone(t, q)
		time.Sleep(time.Second)
		ack(t, try(t, q, "delayed"))

		server.BreakWatches(false)
		time.Sleep(10 * time.Second)
		tryNone(t, q)
		put(t, other, "last", nil)
		ack(t, receive(t, q, "last", 1))
	})
}

// TestDeadLettersOfSeveralPages: each is read once, in the order of the IDs, by few reads of keys.
func TestDeadLettersOfSeveralPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const letters = 100
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		for i := range letters {
			put(t, q, strconv.Itoa(i), nil)
			if err := try(t, q, strconv.Itoa(i)).Reject(t.Context(), "bad"); err != nil {
				t.Fatal(err)
			}
		}
		ranges := 0
		server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/range" {
				ranges++
			}
			return c.Apply()
		})
		n := 0
		for d, err := range q.DeadLetters(t.Context()) {
			if err != nil || string(d.Value) != strconv.Itoa(n) {
				t.Fatalf("%d: %+v, %v", n, d, err)
			}
			n++
		}
		if n != letters || ranges != 1 {
			t.Errorf("%d dead letters, by %d reads of keys", n, ranges)
		}
	})
}

// TestABacklogIsReadInParts: what follows a backlog is not passed by each read of its first items.
func TestABacklogIsReadInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const items = 6000
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		fillEmpty(t, q, nil, items)
		reads, whole := 0, 0
		server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("jobs//q/") && c.Mentions("jobs//h/") {
				reads++
				if c.Mentions("jobs//q0") {
					whole++
				}
			}
			return c.Apply()
		})
		flooded(t, q, items)
		if reads < items/256 || whole > 3 {
			t.Errorf("%d of %d reads are of all items", whole, reads)
		}
	})
}
