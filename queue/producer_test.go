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

// TestAProducerNeedsNoSession: items of a client and of a session are in the order of their
// enqueues, and neither a lease nor a record is made for the client.
func TestAProducerNeedsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		p := queue.NewProducer(server.Client(t), "jobs", nil)
		put := func(value string) {
			if _, err := p.Enqueue(t.Context(), []byte(value), nil); err != nil {
				t.Fatal(err)
			}
		}
		put("a")
		if server.Leases() != 0 || len(server.Keys("holdfast/")) != 0 {
			t.Errorf("%d leases, records %q", server.Leases(), server.Keys("holdfast/"))
		}
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		fill(t, q, "b")
		put("c")
		ids, err := p.EnqueueAll(t.Context(), [][]byte{[]byte("d"), []byte("e")}, nil)
		if err != nil || len(ids) != 2 || ids[0] == ids[1] {
			t.Fatal(ids, err)
		}
		for _, value := range []string{"a", "b", "c", "d", "e"} {
			ack(t, receive(t, q, value, 1))
		}
	})
}

// TestAProducerWaitsForRoom: a producer respects MaxLength.
func TestAProducerWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		p := queue.NewProducer(server.Client(t), "jobs", &queue.Options{MaxLength: 2})
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		fill(t, q, "a", "b")
		now := &queue.EnqueueOptions{NoWait: true}
		if _, err := p.Enqueue(t.Context(), []byte("c"), now); !errors.Is(err, queue.ErrFull) {
			t.Error(err)
		}
		go func() {
			time.Sleep(time.Second)
			ack(t, receive(t, q, "a", 1))
		}()
		if _, err := p.Enqueue(t.Context(), []byte("c"), nil); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // the watch of the length is closed when it is idle
	})
}

func TestAProducerChecksItsArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakeetcd.Start(t).Client(t)
		for name, p := range map[string]*queue.Producer{
			"no client":         queue.NewProducer(nil, "jobs", nil),
			"an empty name":     queue.NewProducer(c, "", nil),
			"a record":          queue.NewProducer(c, "holdfast/sessions/jobs", nil),
			"a negative length": queue.NewProducer(c, "jobs", &queue.Options{MaxLength: -1}),
		} {
			if _, err := p.Enqueue(t.Context(), nil, nil); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestAProducerWithoutAnAnswer: an item whose enqueue was not answered is in the queue once,
// however much has happened since, or ErrUncertain is returned.
func TestAProducerWithoutAnAnswer(t *testing.T) {
	const dedupKey = "jobs//u/one"
	for name, c := range map[string]struct {
		applied   bool // the first copy, before its answer is lost
		taken     bool // the item, by a consumer, and another has been enqueued
		others    bool // have been enqueued
		compacted bool // the history
		late      bool // the first copy is applied after all else
		same      bool // an item with the same DedupID has been enqueued
	}{
		"applied":                {applied: true},
		"applied, others":        {applied: true, others: true},
		"applied, taken":         {applied: true, taken: true},
		"taken and compacted":    {applied: true, taken: true, compacted: true},
		"compacted":              {applied: true, others: true, compacted: true},
		"lost":                   {},
		"lost, others":           {others: true},
		"late":                   {late: true},
		"late, others":           {others: true, late: true},
		"late, the same DedupID": {same: true, late: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := fakeetcd.Start(t)
				p := queue.NewProducer(server.Client(t), "jobs", nil)
				q := queue.New(open(t, server.Client(t)), "jobs", nil)
				fill(t, q, "first")
				ack(t, receive(t, q, "first", 1))
				var first *fakeetcd.Call
				voided := false
				meanwhile := make(chan struct{})
				server.Script(func(call *fakeetcd.Call) fakeetcd.Answer {
					if first != nil && !call.IsTxn("the item") && call.IsTxn("jobs//tail") && c.same &&
						!voided { // nor is the next write answered
						voided = true
						call.Apply()
						return fakeetcd.Lost
					}
					if first != nil || !call.IsTxn("the item") {
						return call.Apply()
					}
					first = call
					if c.applied {
						call.Apply()
					}
					close(meanwhile)
					call.Sleep(500 * time.Millisecond)
					return fakeetcd.Lost
				})
				go func() {
					<-meanwhile
					if c.taken {
						ack(t, receive(t, q, "the item", 1))
					}
					if c.taken || c.others {
						fill(t, q, "another")
					}
					if c.same {
						server.Put(dedupKey, "0-1")
					}
					if c.compacted {
						server.Compact()
					}
				}()
				var opts *queue.EnqueueOptions
				if c.same {
					opts = &queue.EnqueueOptions{DedupID: "one"}
				}
				id, err := p.Enqueue(t.Context(), []byte("the item"), opts)
				if unknown := c.taken && c.compacted; unknown != errors.Is(err, gateway.ErrUncertain) ||
					unknown != (err != nil) || c.same && id != "0-1" {
					t.Errorf("%q, %v", id, err)
				}
				if c.same != voided {
					t.Error("the first copy was voided:", voided)
				}
				if c.late {
					server.Delete(dedupKey)
					server.Script(func(call *fakeetcd.Call) fakeetcd.Answer {
						if first != nil {
							first.Apply()
							first = nil
						}
						return call.Apply()
					})
				}
				n := 0
				items, err := q.Peek(t.Context(), 10)
				for _, i := range items {
					if string(i.Value) == "the item" {
						n++
						if i.ID != id {
							t.Errorf("%q, not %q", i.ID, id)
						}
					}
				}
				want := 1
				if c.taken || c.same {
					want = 0
				}
				if n != want || err != nil {
					t.Errorf("the item is there %d times, %v", n, err)
				}
			})
		})
	}
}
