package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Consume receives with as many goroutines as concurrency says and calls fn with each message, 1 to
// [MaxConcurrency]. When fn returns nil the
// message is acked, while the goroutine goes on with the next; when it returns an error it is given back with a delay that
// doubles with each attempt, from 1 s to 1 minute. If fn has ended the message by itself, it stays so.
//
// When ctx ends, Consume receives no more, waits for the calls of fn that are under way, and returns the context's error.
// The context that fn gets does not end with ctx: it ends with the claim. Consume also returns when the session is lost.
func (q *Queue) Consume(ctx context.Context, concurrency int, fn func(ctx context.Context, m *Message) error) error {
	if concurrency < 1 || concurrency > MaxConcurrency {
		return q.wrap("consume", invalid("a concurrency of %d is not between 1 and %d", concurrency, MaxConcurrency))
	}
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var workers, ends sync.WaitGroup
	var once sync.Once
	var first error
	fail := func(err error) {
		once.Do(func() { first = err })
		stop(err)
	}
	ending := make(chan struct{}, concurrency+maxAhead)
	for range concurrency {
		workers.Go(func() {
			for m, err := range q.Messages(run) {
				if err != nil {
					fail(err)
					return
				}
				begin := time.Now()
				err = fn(m.Context(), m) //nolint:contextcheck // what handles a message is not ended by ctx
				q.expectMore(concurrency, time.Since(begin))
				ending <- struct{}{}
				ends.Go(func() { // the worker goes on meanwhile
					if err := q.conclude(run, m, err); err != nil {
						fail(err)
					}
					<-ending
				})
			}
		})
	}
	workers.Wait()
	ends.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	q.returnAhead(ctx)
	return first
}

// settleTimeout bounds what ends a message after fn. The session goes on with what it leaves.
const settleTimeout = 5 * time.Second

// conclude ends a message that fn has returned err for. Its error is one that ends Consume.
func (q *Queue) conclude(run context.Context, m *Message, err error) error {
	m.last = run.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(run), settleTimeout)
	defer cancel()
	if err == nil {
		err = m.Ack(ctx)
	} else {
		err = m.Nack(ctx, retryDelay(m.Attempt))
	}
	// Not held: fn has ended it, or it was lost and comes again. Uncertain: the session goes on with it.
	if errors.Is(err, session.ErrNotHeld) || errors.Is(err, gateway.ErrUncertain) {
		return q.s.Err()
	}
	return err
}

// retryDelay is how long an item is kept back after an attempt that failed.
func retryDelay(attempt int) time.Duration {
	return min(time.Second<<min(attempt-1, 6), time.Minute)
}
