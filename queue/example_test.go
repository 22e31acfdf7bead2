package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// The examples assume a program that has made a client once, and has a session from session.New or
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// One process enqueues an item, and another receives it and acks it when the work is done.
func ExampleQueue_Receive() {
	ctx := context.Background()
	q := queue.New(s, "mail", nil)
	if _, err := q.Enqueue(ctx, []byte("to the north"), nil); err != nil {
		fmt.Println(err)
		return
	}
	m, err := q.Receive(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, attempt %d\n", m.Value, m.Attempt) // work with m.Context()
	fmt.Println(m.Ack(ctx))                            // or Nack, to have it delivered again
	_, err = q.TryReceive(ctx)
	fmt.Println("empty:", errors.Is(err, queue.ErrEmpty))
	// Output:
	// to the north, attempt 1
	// <nil>
	// empty: true
}

// Consume runs three workers in one process. An item for which a worker returns an error is
// delivered again, after a delay that grows.
func ExampleQueue_Consume() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	q := queue.New(s, "thumbnails", &queue.Options{MaxAttempts: 5})
	values := [][]byte{[]byte("cat"), []byte("dog"), []byte("cow")}
	if _, err := q.EnqueueAll(ctx, values, nil); err != nil {
		fmt.Println(err)
		return
	}
	var done atomic.Int32
	err := q.Consume(ctx, 3, func(_ context.Context, m *queue.Message) error {
		fmt.Printf("%s\n", m.Value)
		if done.Add(1) == 3 {
			stop() // ends Consume after the running calls
		}
		return nil
	})
	fmt.Println(errors.Is(err, context.Canceled))
	// Unordered output:
	// cat
	// cow
	// dog
	// true
}

// The items of one customer are delivered in their order, one at a time. Those of another customer
// do not wait for them.
func ExampleEnqueueOptions_group() {
	ctx := context.Background()
	q := queue.New(s, "statements", nil)
	for _, item := range []struct{ customer, value string }{
		{"anna", "open"}, {"anna", "close"}, {"bert", "open"},
	} {
		opts := &queue.EnqueueOptions{Group: item.customer}
		if _, err := q.Enqueue(ctx, []byte(item.value), opts); err != nil {
			fmt.Println(err)
			return
		}
	}
	for range 2 {
		m, err := q.Receive(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s\n", m.Group, m.Value)
	}
	_, err := q.TryReceive(ctx)
	fmt.Println(errors.Is(err, queue.ErrEmpty))
	// Output:
	// anna: open
	// bert: open
	// true
}

// AckWith writes the result of the work in the transaction that acks the item, so that the result
// is written exactly once, even if processes are killed.
func ExampleMessage_AckWith() {
	ctx := context.Background()
	q := queue.New(s, "orders", nil)
	if _, err := q.Enqueue(ctx, []byte("17"), nil); err != nil {
		fmt.Println(err)
		return
	}
	m, err := q.Receive(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.AckWith(ctx, gateway.OpPut("shipped/"+string(m.Value), []byte("yes"))))
	shipped, err := client.Get(ctx, "shipped/17")
	fmt.Printf("%s %v\n", shipped.KVs[0].Value, err)
	// Output:
	// <nil>
	// yes <nil>
}

// Items of higher priorities are delivered first, an item with a known DedupID is not added again,
// and a delay holds an item back.
func ExampleQueue_Enqueue() {
	ctx := context.Background()
	q := queue.New(s, "alerts", nil)
	for _, item := range []struct {
		value   string
		options *queue.EnqueueOptions
	}{
		{"disk is filling up", nil},
		{"house is on fire", &queue.EnqueueOptions{Priority: 9}},
		{"disk is full", &queue.EnqueueOptions{DedupID: "disk"}},
		{"disk is full, again", &queue.EnqueueOptions{DedupID: "disk"}},
		{"tomorrow", &queue.EnqueueOptions{Delay: 24 * time.Hour}},
	} {
		if _, err := q.Enqueue(ctx, []byte(item.value), item.options); err != nil {
			fmt.Println(err)
			return
		}
	}
	items, err := q.Peek(ctx, 10)
	for _, item := range items {
		fmt.Printf("%s\n", item.Value)
	}
	stats, err2 := q.Stats(ctx)
	fmt.Println(stats.Ready, stats.Delayed, errors.Join(err, err2))
	// Output:
	// house is on fire
	// disk is filling up
	// disk is full
	// 3 1 <nil>
}

// Reject moves an item that cannot be handled to the dead letters, with the reason. Redrive puts it
// back into the queue when the cause has been removed.
func ExampleQueue_Redrive() {
	ctx := context.Background()
	q := queue.New(s, "imports", nil)
	if _, err := q.Enqueue(ctx, []byte("no XML"), nil); err != nil {
		fmt.Println(err)
		return
	}
	m, err := q.Receive(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Reject(ctx, "cannot be parsed"))
	for dead, err := range q.DeadLetters(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s: %s\n", dead.Value, dead.Reason)
	}
	fmt.Println(q.Redrive(ctx))
	again, err := q.Receive(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(again.Attempt, again.Ack(ctx))
	// Output:
	// <nil>
	// no XML: cannot be parsed
	// 1 <nil>
	// 1 <nil>
}
