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

// Of the program that the examples are from: a client, made once, and a session, made by session.New or given by
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// One process puts work into the queue, another takes it out, and says when it is done.
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

// Three workers in one process. What they return an error for comes again, after a pause that grows.
func ExampleQueue_Consume() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	q := queue.New(s, "thumbnails", &queue.Options{MaxAttempts: 5})
	if _, err := q.EnqueueAll(ctx, [][]byte{[]byte("cat"), []byte("dog"), []byte("cow")}, nil); err != nil {
		fmt.Println(err)
		return
	}
	var done atomic.Int32
	err := q.Consume(ctx, 3, func(_ context.Context, m *queue.Message) error {
		fmt.Printf("%s\n", m.Value)
		if done.Add(1) == 3 {
			stop() // at the end of the example; what is under way is finished
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

// What the work has written, and that it is done, are one transaction: it is written once, whoever is killed when.
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

// Higher priorities go first, a DedupID is taken once, and a delay keeps an item back.
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

// What cannot be done goes to the dead letters, with the reason, and back when that is mended.
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
