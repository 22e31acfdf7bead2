package queue_test

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"

	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestFlat: with a backlog of 100,000 items (20,000 by default) an item takes about as long as with 1,000.
func TestFlat(t *testing.T) {
	const measured = 400
	large := 20000
	if os.Getenv("HOLDFAST_QUEUE_ITEMS") != "" {
		large = 100000
	}
	per := map[int]time.Duration{}
	s := plain(t)
	fill := func(backlog int) *queue.Queue {
		q := queue.New(s, fresh(t), nil)
		begin := time.Now()
		if _, err := q.EnqueueAll(within(t, 2*time.Minute), make([][]byte, backlog), nil); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d items enqueued in %v", backlog, time.Since(begin))
		return q
	}
	queues := map[int]*queue.Queue{1000: fill(1000), large: fill(large)}
	for round := range 4 {
		for backlog, q := range queues {
			begin := time.Now()
			for range measured / 4 {
				enqueue(t, q, nil, "")
				m, err := q.Receive(within(t, patience))
				if err != nil {
					t.Fatal(err)
				}
				ack(t, m)
			}
			if round > 0 { // the first one reads
				per[backlog] += time.Since(begin) / (measured / 4 * 3)
			}
		}
	}
	ratio := float64(per[large]) / float64(per[1000])
	figure(t, "enqueue, receive and ack of an item: %v at a backlog of 1,000, %v at %d (%.2f)",
		per[1000].Round(time.Microsecond), per[large].Round(time.Microsecond), large, ratio)
	if ratio > 5 { // it would be 20 or 100 if the cost grew with the backlog; the rest is the machine's
		t.Errorf("an item takes %.2f times as long", ratio)
	}
}

// line is a queue of either library, as one party uses it.
type line struct {
	put  func(value string) error
	take func() error // and ack
}

// TestThroughput prints figures: items through the queue in one process, and through that of clientv3's recipes, which
// loses items.
func TestThroughput(t *testing.T) {
	const rounds = 3
	items := number(t, 1600)
	ctx := t.Context()
	s := [2]*session.Session{plain(t), plain(t)} // one of the producers, one of the consumers
	peer := [2]*clientv3.Client{cluster.ClientV3(t), cluster.ClientV3(t)}
	for _, parties := range []int{1, 8} {
		var ours, theirs []float64
		for range rounds {
			name := fresh(t)
			from, to := queue.New(s[0], name, nil), queue.New(s[1], name, nil)
			ours = append(ours, run(t, parties, items, func() line {
				return line{
					func(v string) error { _, err := from.Enqueue(ctx, []byte(v), nil); return err },
					func() error {
						m, err := to.Receive(ctx)
						if err != nil {
							return err
						}
						return m.Ack(ctx)
					},
				}
			}))
			name = fresh(t)
			theirs = append(theirs, run(t, parties, items/4, func() line {
				from, to := recipe.NewQueue(peer[0], name), recipe.NewQueue(peer[1], name)
				return line{from.Enqueue, func() error { _, err := to.Dequeue(); return err }}
			}))
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		figure(t, "%d producers and %d consumers in one process: %.0f items/s; clientv3's recipe: %.0f (%.1f)",
			parties, parties, ours[rounds/2], theirs[rounds/2], ours[rounds/2]/theirs[rounds/2])
	}
}

// run tells how many items go through in a second.
func run(t *testing.T, parties, items int, party func() line) float64 {
	var all sync.WaitGroup
	begin := time.Now()
	for i := range parties {
		l := party()
		share := items / parties
		work := func(do func() error) {
			all.Go(func() {
				for range share {
					if err := do(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		work(func() error { return l.put(fmt.Sprint(i)) })
		work(l.take)
	}
	all.Wait()
	return float64(items) / time.Since(begin).Seconds()
}
