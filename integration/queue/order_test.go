package queue_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/queue"
)

// delivery is one message, and when its Receive was called and returned.
type delivery struct {
	number, fence int64
	from, to      time.Time
}

// TestOneQueueClaimsItemsInOrder: with any number of goroutines, with and without pauses between
// their calls, and with and without a Prefetch, one Queue claims items in the order of the queue.
// No Receive returns an item that precedes one that another had already returned when it was
// called.
func TestOneQueueClaimsItemsInOrder(t *testing.T) {
	for _, prefetch := range []int{0, 5} {
		t.Run(strconv.Itoa(prefetch), func(t *testing.T) {
			t.Parallel()
			claimsInOrder(t, prefetch)
		})
	}
}

func claimsInOrder(t *testing.T, prefetch int) {
	t.Helper()
	const items, goroutines = 1500, 6
	name := fresh(t)
	s := plain(t)
	values := make([][]byte, items)
	for i := range values {
		values[i] = []byte(strconv.Itoa(i))
	}
	if _, err := queue.New(s, name, nil).EnqueueAll(within(t, patience), values, nil); err != nil {
		t.Fatal(err)
	}
	q := queue.New(s, name, &queue.Options{Prefetch: prefetch})
	var mu sync.Mutex
	got := make([]delivery, items)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range items / goroutines {
				d := delivery{from: time.Now()}
				m, err := q.Receive(within(t, patience))
				if err != nil {
					t.Error(err)
					return
				}
				d.to, d.fence = time.Now(), m.Fence()
				if d.number, err = strconv.ParseInt(string(m.Value), 10, 64); err != nil ||
					m.Attempt != 1 {
					t.Errorf("%q, attempt %d", m.Value, m.Attempt)
				}
				mu.Lock()
				got[d.number] = d
				mu.Unlock()
				if err := m.Ack(within(t, patience)); err != nil {
					t.Error(err)
				}
				if rand.N(10) == 0 {
					pause(t, t.Context(), rand.N(10*time.Millisecond),
						"others receive the items that are claimed ahead meanwhile")
				}
			}
		})
	}
	all.Wait()
	first := got[items-1] // the first of all later ones
	for i := items - 2; i >= 0; i-- {
		if d := got[i]; d.fence > first.fence {
			t.Errorf("item %d was claimed at %d, a later one at %d", i, d.fence, first.fence)
		} else if d.from.After(first.to) {
			t.Errorf("item %d was received after item %d", i, first.number)
		}
		first.fence = min(first.fence, got[i].fence)
		if got[i].to.Before(first.to) {
			first.to, first.number = got[i].to, got[i].number
		}
	}
}
