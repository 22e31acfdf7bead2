package queue_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/queue"
)

// TestAnItemCostsTheSameWithALargeBacklog: beside 100,000 items (20,000 by default) that are ready,
// or delayed, with a MaxLength or without, an item takes about as long as beside 1,000.
func TestAnItemCostsTheSameWithALargeBacklog(t *testing.T) {
	large := number(t, 20_000)
	for what, c := range map[string]struct {
		queue queue.Options
		item  queue.EnqueueOptions
	}{
		"ready":                  {},
		"ready, with MaxLength":  {queue: queue.Options{MaxLength: 10_000_000}},
		"delayed":                {item: queue.EnqueueOptions{Delay: time.Hour}},
		"of 10,000 other groups": {},
	} {
		t.Run(what, func(t *testing.T) {
			s := plain(t)
			fill := func(backlog int) *queue.Queue {
				q := queue.New(s, fresh(t), &c.queue)
				begin := time.Now()
				if what == "of 10,000 other groups" {
					fillGroups(t, q, backlog)
				} else if _, err := q.EnqueueAll(within(t, 5*time.Minute), make([][]byte, backlog),
					&c.item); err != nil {
					t.Fatal(err)
				}
				t.Logf("%d items enqueued in %v", backlog, time.Since(begin))
				return q
			}
			compareBacklogs(t, what, large, map[int]*queue.Queue{1000: fill(1000), large: fill(large)})
		})
	}
}

// fillGroups enqueues items of 10,000 groups in turn, or of as many as there are items.
func fillGroups(t *testing.T, q *queue.Queue, backlog int) {
	t.Helper()
	const producers = 100 // which share transactions
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for i := p; i < backlog; i += producers {
				_, err := q.Enqueue(within(t, 5*time.Minute), nil,
					&queue.EnqueueOptions{Group: fmt.Sprint(i % 10_000)})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// compareBacklogs measures both queues in turn, and compares the medians.
func compareBacklogs(t *testing.T, what string, large int, queues map[int]*queue.Queue) {
	t.Helper()
	const measured, rounds = 60, 6
	put, took := map[int][]time.Duration{}, map[int][]time.Duration{}
	for round := range rounds {
		for backlog, q := range queues {
			for range measured {
				begin := time.Now()
				enqueue(t, q, nil, "")
				enqueued := time.Now()
				m, err := q.TryReceive(within(t, patience))
				if err != nil {
					t.Fatal(err)
				}
				if round > 0 { // the first one reads
					put[backlog] = append(put[backlog], enqueued.Sub(begin))
					took[backlog] = append(took[backlog], time.Since(enqueued))
				}
				ack(t, m)
			}
		}
	}
	for verb, of := range map[string]map[int][]time.Duration{"Enqueue": put, "TryReceive": took} {
		few, many := median(of[1000]), median(of[large])
		ratio := float64(many) / float64(few)
		figure(t, "beside 1,000 and %d items, %s: %s %v, %v (%.2f)", large, what, verb,
			few.Round(time.Microsecond), many.Round(time.Microsecond), ratio)
		// 20 or 100 if the cost grew with the backlog; smaller differences are the machine's
		if ratio > 5 {
			t.Errorf("%s takes too long", verb)
		}
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
