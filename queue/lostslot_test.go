package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestTheSlotOfALostClaimAheadIsFree: when another client has deleted a claim that was made ahead,
// the slot of the claim does not stay until the session ends, whether the claim is then delivered
// or given back.
func TestTheSlotOfALostClaimAheadIsFree(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"delivered", "given back"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				opts := &queue.Options{MaxInFlight: 2, MaxAttempts: 3, Prefetch: 1}
				q := queue.New(open(t, etcd.Client(t)), "jobs", opts)
				fill(t, q, "a", "b")
				a := receive(t, q, "a", 1) // and b is claimed ahead
				synctest.Wait()
				etcd.Delete(etcd.Keys(claims)[1])
				synctest.Wait()
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				if how == "given back" {
					now, end := context.WithCancel(ctx)
					end()
					_ = q.Consume(now, 1, func(context.Context, *queue.Message) error { return nil })
				}
				b, err := q.Receive(ctx)
				if err != nil {
					t.Fatal(err)
				}
				ack(t, a)
				ack(t, b)
				synctest.Wait()
				if got := etcd.Keys("jobs//m/"); len(got) != 0 {
					t.Errorf("slots %q", got)
				}
			})
		})
	}
}

// TestASecondEndLeavesTheSlotToTheFirst: a call that finds another one under way does not free the
// slot of the claim, which may last.
func TestASecondEndLeavesTheSlotToTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		one := &queue.Options{MaxInFlight: 1}
		q := queue.New(open(t, etcd.Client(t)), "jobs", one)
		other := queue.New(open(t, etcd.Client(t)), "jobs", one)
		fill(t, q, "a", "b")
		a := receive(t, q, "a", 1)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("refused") {
				c.Sleep(100 * time.Millisecond)
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		first := make(chan error, 1)
		go func() { first <- a.AckWith(t.Context(), gateway.OpPut("refused", nil)) }()
		synctest.Wait()
		if err := a.Ack(t.Context()); err == nil {
			t.Error("two ends of a message")
		}
		if err := <-first; err == nil {
			t.Error("applied")
		}
		nothing(t, other)
		if got := etcd.Keys(claims); len(got) != 1 {
			t.Errorf("claims %q", got)
		}
		ack(t, a)
		ack(t, receive(t, other, "b", 1))
	})
}
