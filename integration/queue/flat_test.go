package queue_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
)

// flood sends items through a queue, of each of the options in turn.
func flood(t *testing.T, q *queue.Queue, items int, each ...*queue.EnqueueOptions) {
	t.Helper()
	for i := 0; i < items; i += 1000 {
		var opts *queue.EnqueueOptions
		if len(each) > 0 {
			opts = each[i/1000%len(each)]
		}
		some := min(1000, items-i)
		if _, err := q.EnqueueAll(within(t, patience), make([][]byte, some), opts); err != nil {
			t.Fatal(err)
		}
		drain(t, q, some)
	}
}

// drain receives items until it has acked as many.
func drain(t *testing.T, q *queue.Queue, items int) {
	t.Helper()
	var seen atomic.Int64
	ctx, stop := context.WithCancel(within(t, 5*patience))
	defer stop()
	err := q.Consume(ctx, 64, func(context.Context, *queue.Message) error {
		if seen.Add(1) == int64(items) {
			stop()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// histories returns the ways in which a queue is used before nothing can be received from it.
func histories(t *testing.T) map[string]func(t *testing.T, q *queue.Queue, items int) {
	t.Helper()
	hold := func(t *testing.T, q *queue.Queue, opts *queue.EnqueueOptions) {
		t.Helper()
		enqueue(t, q, opts, "held")
		receive(t, q, "held", 1)
	}
	backlog := func(t *testing.T, q *queue.Queue, items int, opts *queue.EnqueueOptions) {
		t.Helper()
		if _, err := q.EnqueueAll(within(t, 5*patience), make([][]byte, items), opts); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]func(t *testing.T, q *queue.Queue, items int){
		"items behind a held one": func(t *testing.T, q *queue.Queue, items int) {
			t.Helper()
			hold(t, q, nil)
			flood(t, q, items)
		},
		"items of ten priorities": func(t *testing.T, q *queue.Queue, items int) {
			t.Helper()
			var all []*queue.EnqueueOptions
			for p := range queue.MaxPriority + 1 {
				all = append(all, &queue.EnqueueOptions{Priority: p})
			}
			hold(t, q, nil)
			flood(t, q, items, all...)
		},
		"items between held ones": func(t *testing.T, q *queue.Queue, items int) {
			t.Helper()
			for range 30 {
				hold(t, q, nil)
				flood(t, q, items/30)
			}
		},
		"items beside delayed ones": func(t *testing.T, q *queue.Queue, items int) {
			t.Helper()
			backlog(t, q, items, &queue.EnqueueOptions{Delay: time.Hour})
			flood(t, q, items)
		},
		"items that were delayed": func(t *testing.T, q *queue.Queue, items int) {
			t.Helper()
			backlog(t, q, items, &queue.EnqueueOptions{Delay: time.Millisecond})
			if items > 0 {
				drain(t, q, items)
			}
		},
		"items beside a group that waits": func(t *testing.T, q *queue.Queue, items int) {
			t.Helper()
			hold(t, q, &queue.EnqueueOptions{Group: "g"})
			backlog(t, q, items, &queue.EnqueueOptions{Group: "g"})
			flood(t, q, items)
		},
		"ready items while paused": func(t *testing.T, q *queue.Queue, items int) {
			t.Helper()
			flood(t, q, items)
			backlog(t, q, items, nil)
			isPaused(t, q)
		},
	}
}

func isPaused(t *testing.T, q *queue.Queue) {
	t.Helper()
	if err := q.Pause(within(t, patience)); err != nil {
		t.Fatal(err)
	}
}

// grows are the calls that pass the items of a history, which are still there, or were delayed, or
// that read a range for each priority.
var grows = map[string][]string{
	"items of ten priorities": {"TryReceive by another client"},
	"items beside delayed ones": {
		"TryReceive by another client", "Stats", "Enqueue with MaxLength",
	},
	"items that were delayed": {
		"TryReceive by another client", "Stats", "Enqueue with MaxLength",
	},
	"items beside a group that waits": {
		"TryReceive by another client", "Stats", "Peek", "Enqueue with MaxLength",
	},
	"ready items while paused": {
		"TryReceive by another client", "Stats", "Peek", "Enqueue with MaxLength",
	},
}

// TestFlatInHistory: a call takes about as long after as many items as HOLDFAST_QUEUE_ITEMS says,
// as without them in another queue of the same server, although etcd has not compacted its history.
func TestFlatInHistory(t *testing.T) {
	if os.Getenv(itemsVar) == "" {
		t.Skip("set HOLDFAST_QUEUE_ITEMS=200000; queue.TestNoReadPassesDeletedKeys counts keys")
	}
	items := number(t, 0)
	for what, history := range histories(t) {
		t.Run(what, func(t *testing.T) {
			s := plain(t)
			names := []string{fresh(t), fresh(t)}
			queues := []*queue.Queue{queue.New(s, names[0], nil), queue.New(s, names[1], nil)}
			history(t, queues[0], items)
			history(t, queues[1], 0)
			compareCalls(t, names, queues, grows[what])
		})
	}
}

func compareCalls(t *testing.T, names []string, queues []*queue.Queue, grows []string) {
	t.Helper()
	s := plain(t)
	calls := map[string]func(i int) time.Duration{
		"TryReceive": func(i int) time.Duration {
			begin := time.Now()
			isEmpty(t, queues[i])
			return time.Since(begin)
		},
		"TryReceive by another client": func(i int) time.Duration {
			c := newClient(t, gateway.Config{})
			other := newSession(t, c, nil)
			isEmpty(t, queue.New(other, fresh(t), nil)) // connects, also the watch
			begin := time.Now()
			isEmpty(t, queue.New(other, names[i], nil))
			took := time.Since(begin)
			_ = other.Close(within(t, patience))
			_ = c.Close()
			return took
		},
		"Enqueue with MaxLength": func(i int) time.Duration {
			q := queue.New(s, names[i], &queue.Options{MaxLength: 10})
			begin := time.Now() // it counts
			_, err := q.Enqueue(within(t, patience), nil, &queue.EnqueueOptions{
				NoWait: true, Delay: time.Hour,
			})
			if err != nil && !errors.Is(err, queue.ErrFull) {
				t.Fatal(err)
			}
			return time.Since(begin)
		},
		"Stats": func(i int) time.Duration {
			begin := time.Now()
			stats(t, queues[i])
			return time.Since(begin)
		},
		"Peek": func(i int) time.Duration {
			begin := time.Now()
			if _, err := queues[i].Peek(within(t, patience), 10); err != nil {
				t.Fatal(err)
			}
			return time.Since(begin)
		},
	}
	for _, call := range []string{
		"TryReceive", "TryReceive by another client", "Stats", "Peek", "Enqueue with MaxLength",
	} {
		rounds := 101
		if call == "TryReceive by another client" {
			rounds = 21
		}
		var took [2][]time.Duration
		for n := range 2 * rounds {
			i := n % 2
			took[i] = append(took[i], calls[call](i))
		}
		slices.Sort(took[0])
		slices.Sort(took[1])
		old, young := took[0][rounds/2], took[1][rounds/2]
		figure(t, "%s: %v in a new queue, %v in the old one", call,
			young.Round(time.Microsecond), old.Round(time.Microsecond))
		if old > 2*young && !slices.Contains(grows, call) {
			t.Errorf("%s takes %v, not about %v", call, old, young)
		}
	}
}
