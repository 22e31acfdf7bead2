package queue_test

import (
	"os"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/queue"
)

// TestAnItemCostsTheSameWithALargeBacklog: with a backlog of 100,000 items (20,000 by default) an
// item takes about as long as with 1,000.
func TestAnItemCostsTheSameWithALargeBacklog(t *testing.T) {
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
		if _, err := q.EnqueueAll(within(t, 2*time.Minute),
			make([][]byte, backlog), nil); err != nil {
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
	// 20 or 100 if the cost grew with the backlog; smaller differences are the machine's
	if ratio > 5 {
		t.Errorf("an item takes %.2f times as long", ratio)
	}
}
