package queue_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
)

// TestFlatInHistory: an Enqueue with MaxLength and a TryReceive of the empty queue take about as
// long after 10,000 items, or HOLDFAST_QUEUE_ITEMS, as before them, although etcd has not compacted
// its history, and one item is held all the time.
func TestFlatInHistory(t *testing.T) {
	items, name := number(t, 10_000), fresh(t)
	s := plain(t)
	held := queue.New(plain(t), name, nil)
	enqueue(t, held, nil, "held")
	m := receive(t, held, "held", 1)
	q := queue.New(s, name, nil)
	measure := func() (enqueued, received time.Duration) {
		var puts, reads []time.Duration
		for range 20 {
			begin := time.Now() // a new Queue has to count
			bounded := queue.New(s, name, &queue.Options{MaxLength: 10})
			enqueue(t, bounded, &queue.EnqueueOptions{NoWait: true}, "", "", "")
			puts = append(puts, time.Since(begin))
			for range 3 {
				m, err := q.Receive(within(t, patience))
				if err != nil {
					t.Fatal(err)
				}
				ack(t, m)
			}
			eventually(t, "the acks", func() bool { return stats(t, q).Ready == 0 })
			begin = time.Now()
			isEmpty(t, q)
			reads = append(reads, time.Since(begin))
		}
		slices.Sort(puts)
		slices.Sort(reads)
		return puts[len(puts)/2], reads[len(reads)/2]
	}
	put, read := measure()
	for left := items; left > 0; left -= 1000 {
		if _, err := q.EnqueueAll(within(t, patience), make([][]byte, 1000), nil); err != nil {
			t.Fatal(err)
		}
		var seen atomic.Int64
		ctx, stop := context.WithCancel(within(t, patience))
		err := q.Consume(ctx, 64, func(context.Context, *queue.Message) error {
			if seen.Add(1) == 1000 {
				stop()
			}
			return nil
		})
		stop()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	putAfter, readAfter := measure()
	got, err := s.Client().Get(within(t, patience), name+"//gaps")
	if err != nil || len(got.KVs) == 0 {
		t.Errorf("no gaps: %v", err)
	} else {
		t.Logf("gaps: %s", got.KVs[0].Value)
	}
	other := newClient(t, gateway.Config{}) // which knows nothing by a watch
	begin := time.Now()
	isEmpty(t, queue.New(newSession(t, other, nil), name, nil))
	figure(t, "before and after %d items: three Enqueues with MaxLength %v, %v; TryReceive of the "+
		"empty queue %v, %v, and by another client %v", items, put.Round(time.Microsecond),
		putAfter.Round(time.Microsecond), read.Round(time.Microsecond),
		readAfter.Round(time.Microsecond), time.Since(begin).Round(time.Microsecond))
	if putAfter > 3*put || readAfter > 3*read { // 6 for TryReceive if gaps are ignored
		t.Error("an item takes longer after many others")
	}
	ack(t, m)
}
