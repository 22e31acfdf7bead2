package queue_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestPrefetchSharesTransactions: with a Prefetch, a Consume that gets an item each millisecond
// claims and acks several in one transaction. No item waits for longer than 5 ms and two requests,
// and an item after a pause does not wait.
func TestPrefetchSharesTransactions(t *testing.T) {
	for _, functions := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			const items = 200
			server := fakeetcd.Start(t)
			opts := &queue.Options{Prefetch: 16}
			q := queue.New(open(t, server.Client(t)), "jobs", opts)
			other := queue.New(open(t, server.Client(t)), "jobs", nil)
			var txns atomic.Int64
			latest := time.Duration(0)
			server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.IsTxn(claims) {
					c.Sleep(time.Millisecond)
					txns.Add(1)
				}
				return c.Apply()
			})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			handled := make(chan time.Time)
			wait := func() {
				if waited := time.Since(<-handled); waited > latest {
					latest = waited
				}
			}
			ended := make(chan error, 1)
			go func() {
				ended <- q.Consume(ctx, functions, func(_ context.Context, m *queue.Message) error {
					handled <- m.Enqueued
					return nil
				})
			}()
			put := func(value string) {
				if _, err := other.Enqueue(t.Context(), []byte(value), nil); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second)
			put("first")
			wait()
			if latest > time.Millisecond {
				t.Errorf("the first item waited for %v", latest)
			}
			time.Sleep(time.Second)
			go func() {
				for _, value := range numbered(items) {
					put(value)
					time.Sleep(time.Millisecond)
				}
			}()
			txns.Store(0)
			for range items {
				wait()
			}
			time.Sleep(10 * time.Millisecond)
			if left := server.Keys(claims); len(left) > 0 {
				t.Errorf("not acked: %q", left)
			}
			if n := txns.Load(); n > items/3 {
				t.Errorf("%d functions: %d transactions for %d items", functions, n, items)
			}
			if latest > 7*time.Millisecond {
				t.Errorf("%d functions: an item waited for %v", functions, latest)
			}
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestPrefetchOfAQueueDelaysNoOther: an item that a Queue with a Prefetch leaves for later is
// received at once by another client, and by a TryReceive of the Queue.
func TestPrefetchOfAQueueDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", &queue.Options{Prefetch: 16})
		other := queue.New(open(t, server.Client(t)), "jobs", nil)
		fill(t, q, "a")
		ack(t, receive(t, q, "a", 1))
		fill(t, q, "b", "c")
		began := time.Now()
		ack(t, receive(t, other, "b", 1))
		m, err := q.TryReceive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("waited for %v", waited)
		}
		ack(t, m)
	})
}

// TestAClaimAheadDoesNotWaitInVain: a claim that follows one that was handed out is not delayed for
// others that do not come.
func TestAClaimAheadDoesNotWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", &queue.Options{Prefetch: 16})
		fill(t, q, numbered(40)...)
		var sent time.Time
		server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn(claims) {
				sent = time.Now()
				c.Sleep(10 * time.Millisecond)
			}
			return c.Apply()
		})
		receive(t, q, numbered(1)[0], 1)
		time.Sleep(time.Second)
		began := time.Now()
		receive(t, q, numbered(2)[1], 1)
		time.Sleep(100 * time.Millisecond)
		if n, waited := len(server.Keys(claims)), sent.Sub(began); n != 18 || waited != 0 {
			t.Errorf("%d claims, the last was sent after %v", n, waited)
		}
	})
}
