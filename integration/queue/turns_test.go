package queue_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
)

// TestNoProducerWaitsForTheEndOfTheOthers: if several processes enqueue all the time, none has to
// wait until the others have ended.
func TestNoProducerWaitsForTheEndOfTheOthers(t *testing.T) {
	const producers, items = 4, 300
	name := fresh(t)
	var all sync.WaitGroup
	for i := range producers {
		q := queue.New(newSession(t, newClient(t, gateway.Config{}), nil), name, nil)
		all.Go(func() {
			for range items {
				if _, err := q.Enqueue(within(t, patience), []byte(strconv.Itoa(i)),
					nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	q := queue.New(plain(t), name, nil)
	got := make([]int, producers)
	// until the first has ended
	for got[0] < items && got[1] < items && got[2] < items && got[3] < items {
		m, err := q.Receive(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		i, err := strconv.Atoi(string(m.Value))
		if err != nil {
			t.Fatal(err)
		}
		got[i]++
		ack(t, m)
	}
	figure(t, "of %d items of each producer, when the first was done: %v", items, got)
	for i, n := range got {
		if n < items/20 {
			t.Errorf("producer %d had come to %d of %d items when another was done", i, n, items)
		}
	}
}
