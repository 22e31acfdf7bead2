package keys_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/queue"
)

func (u user) queues() {
	u.t.Helper()
	q := queue.New(u.a, "docs/queue", &queue.Options{MaxAttempts: 1, MaxLength: 100})
	other := queue.New(u.b, "docs/queue", nil)
	enqueue := func(value string, o queue.EnqueueOptions) {
		u.t.Helper()
		_, err := q.Enqueue(u.ctx, []byte(value), &o)
		u.no(err)
	}
	// The watch of a queue may be late, so that it delivers an earlier item first.
	receive := func(q *queue.Queue, value string) *queue.Message {
		u.t.Helper()
		for {
			m, err := q.Receive(u.ctx)
			u.no(err)
			if string(m.Value) == value {
				return m
			}
			u.no(m.Requeue(u.ctx))
		}
	}
	enqueue("urgent", queue.EnqueueOptions{Priority: 9})
	u.no(receive(q, "urgent").Ack(u.ctx))
	for range 2 {
		enqueue("once", queue.EnqueueOptions{DedupID: "invoice 17"})
	}
	// counts as an attempt of the first queue
	u.no(receive(other, "once").Nack(u.ctx, time.Millisecond))
	enqueue("later", queue.EnqueueOptions{Delay: time.Millisecond})
	recipetest.Eventually(u.t, "the end of the delays", func() bool {
		m, err := q.TryReceive(u.ctx)
		switch {
		case errors.Is(err, queue.ErrEmpty):
			return false
		case err != nil:
			u.t.Fatal(err)
		}
		u.no(m.Reject(u.ctx, "no "+string(m.Value)))
		return true
	})
	_, err := other.Redrive(u.ctx)
	u.no(err)
	enqueue("again", queue.EnqueueOptions{Priority: 9})
	u.no(receive(other, "again").Nack(u.ctx, 0))
	u.no(receive(other, "again").Requeue(u.ctx))
	slots := queue.New(u.a, "docs/queue", &queue.Options{MaxInFlight: 1})
	enqueue("limited", queue.EnqueueOptions{Priority: 9})
	limited, err := slots.Receive(u.ctx) // an item, no matter which
	u.no(err)
	u.no(limited.Ack(u.ctx))
	enqueue("in a group", queue.EnqueueOptions{Group: "customer 7", Priority: 9})
	for {
		m, err := other.Receive(u.ctx)
		u.no(err)
		if m.Group != "" {
			u.no(m.Nack(u.ctx, time.Hour))
			break
		}
		u.no(m.Ack(u.ctx))
	}
	p := queue.NewProducer(u.a.Client(), "docs/queue", nil)
	id, err := p.Enqueue(u.ctx, []byte("without a session"),
		&queue.EnqueueOptions{Group: "customer 7"})
	u.no(err, q.Remove(u.ctx, id))
	u.no(q.Pause(u.ctx), q.Resume(u.ctx))
	_, err = q.Stats(u.ctx)
	u.no(err)
	_, err = q.Peek(u.ctx, 1)
	u.no(err)
	u.gaps(other)
}

// gaps receives so many items that a consumer stores where they were.
func (u user) gaps(q *queue.Queue) {
	u.t.Helper()
	got := make(chan error, 1)
	go func() {
		_, err := u.a.Client().WatchOnce(u.ctx, "docs/queue//gaps")
		got <- err
	}()
	for {
		_, err := q.EnqueueAll(u.ctx, make([][]byte, 500), nil)
		u.no(err)
		ctx, stop := context.WithCancel(u.ctx)
		left := atomic.Int64{}
		left.Store(500)
		err = q.Consume(ctx, 32, func(context.Context, *queue.Message) error {
			if left.Add(-1) == 0 {
				stop()
			}
			return nil
		})
		stop()
		if !errors.Is(err, context.Canceled) {
			u.t.Fatal(err)
		}
		select {
		case err := <-got:
			u.no(err)
			return
		default:
		}
	}
}
