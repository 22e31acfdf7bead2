package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

func numbered(n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprint(i)
	}
	return values
}

// TestConsumeClaimsForItsFunctions: a Consume has claimed one item for each function, and as many
// as Prefetch besides. When it ends, it gives back those that it has claimed ahead.
func TestConsumeClaimsForItsFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", prefetching(3, 5))
		fill(t, q, numbered(20)...)
		ctx, stop := context.WithCancel(t.Context())
		release, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- q.Consume(ctx, 2, func(context.Context, *queue.Message) error {
				<-release
				return nil
			})
		}()
		for range 3 {
			synctest.Wait()
			if got := etcd.Keys(claims); len(got) != 2+3 {
				t.Errorf("claims %q", got)
			}
			release <- struct{}{}
		}
		stop()
		close(release)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := etcd.Keys(claims); len(got) != 0 {
			t.Errorf("after Consume: claims %q", got)
		}
		next := fmt.Sprint(20 - len(etcd.Keys("jobs//q/")))
		receive(t, q, next, 1)
	})
}

// TestOneTransactionForAll: goroutines that receive at the same time share transactions, and so do
// the end of a message and the claim of the next.
func TestOneTransactionForAll(t *testing.T) {
	const functions, rounds = 8, 10
	consume := map[string]func(t *testing.T, q *queue.Queue){
		"Receive": func(t *testing.T, q *queue.Queue) {
			t.Helper()
			var all sync.WaitGroup
			for range functions {
				all.Go(func() {
					for range rounds {
						m, err := q.Receive(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						ack(t, m)
					}
				})
			}
			all.Wait()
		},
		"Consume": func(t *testing.T, q *queue.Queue) {
			t.Helper()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			left := make(chan struct{}, functions*rounds)
			_ = q.Consume(ctx, functions, func(context.Context, *queue.Message) error {
				if left <- struct{}{}; len(left) == functions*rounds {
					stop()
				}
				return nil
			})
		},
	}
	for name, most := range map[string]int64{
		"Receive": 2 * rounds, // for all to claim, and for all to ack
		"Consume": rounds + 1,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
				fill(t, q, numbered(functions*rounds)...)
				calls := counted(etcd, func(c *fakeetcd.Call) fakeetcd.Answer {
					c.Sleep(10 * time.Millisecond)
					return c.Apply()
				})
				consume[name](t, q)
				if n := calls.Load(); n > most+8 { // the cache is read, and some go alone
					t.Errorf("%d requests for %d rounds of %d functions", n, rounds, functions)
				}
				if left := etcd.Keys("jobs//q/"); len(left) > 0 {
					t.Errorf("left are %q", left)
				}
			})
		})
	}
}

// TestConsumeSendsTheAckWithTheNextClaim: each transaction of a Consume with one function ends a
// message and claims the next item.
func TestConsumeSendsTheAckWithTheNextClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const items = 20
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		fill(t, q, slices.Repeat([]string{"an item"}, items)...)
		txns := 0
		server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn(claims) {
				c.Sleep(time.Millisecond)
				txns++
			}
			return c.Apply()
		})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := 0
		err := q.Consume(ctx, 1, func(context.Context, *queue.Message) error {
			if done++; done == items {
				stop()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if txns > items+2 { // the reads of the cache name the claims, too
			t.Errorf("%d transactions for %d items", txns, items)
		}
	})
}
