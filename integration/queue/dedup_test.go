package queue_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-go/holdfast/queue"
)

// duplicates: they take no numbers, even if many are sent together, and need no room.
func duplicates(t *testing.T, p pair) {
	const items = 150
	opt := &queue.Options{MaxLength: items}
	name := fresh(t)
	queues := []*queue.Queue{queue.New(p.a, name, opt), queue.New(p.b, name, opt)}
	ids := make([][items]string, 4)
	put := func(round int) {
		var all sync.WaitGroup
		for i := range items {
			all.Go(func() {
				o := &queue.EnqueueOptions{DedupID: fmt.Sprint("job", i), NoWait: round == 3}
				var err error
				if ids[round][i], err = queues[round%2].Enqueue(within(t, patience),
					[]byte("x"), o); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		all.Wait()
	}
	for round := range ids {
		put(round)
		if ids[round] != ids[0] {
			t.Errorf("round %d has other IDs", round)
		}
		if stats, err := queues[0].Stats(within(t, patience)); err != nil ||
			stats.Enqueued != items {
			t.Errorf("round %d: %+v, %v", round, stats, err)
		}
	}
}
