package queue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestNackWhileFull: when etcd refuses a Nack of Consume because its database is full, Consume goes
// on, and the item is given back later.
func TestNackWhileFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", &queue.Options{MaxAttempts: 3})
		fill(t, q, "a", "b")
		refused := 0
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var got []string
		err := q.Consume(ctx, 1, func(_ context.Context, m *queue.Message) error {
			got = append(got, fmt.Sprintf("%s%d", m.Value, m.Attempt))
			if len(got) == 1 {
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.IsTxn(m.Key()) && refused < 3 {
						refused++
						return fakeetcd.Error(gateway.CodeResourceExhausted,
							"etcdserver: mvcc: database space exceeded")
					}
					return c.Apply()
				})
				return errors.New("try again")
			}
			if len(got) == 3 {
				stop()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) || refused < 2 || len(got) != 3 {
			t.Errorf("Consume = %v after %q, %d refusals", err, got, refused)
		}
	})
}

// TestPeekReadsPages: no answer has more than 16 values, because 100 of the largest are over the
// limit of an answer.
func TestPeekReadsPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 10
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		for range queue.MaxPeek {
			if _, err := q.Enqueue(t.Context(), make([]byte, size), nil); err != nil {
				t.Fatal(err)
			}
		}
		largest := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			a := c.Apply()
			largest = max(largest, len(a.Body))
			return a
		})
		items, err := q.Peek(t.Context(), queue.MaxPeek)
		if err != nil || len(items) != queue.MaxPeek || largest > 16*size*3/2 {
			t.Errorf("%d items, %v; an answer of %d bytes", len(items), err, largest)
		}
	})
}
