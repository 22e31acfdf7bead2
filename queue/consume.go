package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// MaxConcurrency is how many goroutines one [Queue.Consume] may have.
const MaxConcurrency = 10_000

// Consume receives with as many goroutines as concurrency says and calls fn with each message. When fn returns nil the
// message is acked, while the goroutine goes on with the next; when it returns an error it is given back with a delay that
// doubles with each attempt, from 1 s to 1 minute. If fn has ended the message by itself, it stays so.
//
// A panic of fn ends the program, as in any goroutine, after the message was given back as after an error. If fn ends its
// goroutine, as [runtime.Goexit] and t.FailNow do, the message is given back, too, and Consume returns an error.
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
				err = q.handle(run, m, fn, fail)
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

var errExited = errors.New("the function ended its goroutine")

// handle calls fn. If fn does not return, its goroutine ends after the message was given back.
func (q *Queue) handle(run context.Context, m *Message, fn func(context.Context, *Message) error, fail func(error)) error {
	returned := false
	defer func() {
		if returned {
			return
		}
		fail(q.wrap("consume", errExited))
		_ = q.conclude(run, m, errExited) // the session goes on with it, if anything can
	}()
	err := fn(m.Context(), m) //nolint:contextcheck // what handles a message is not ended by ctx
	returned = true
	return err
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
		if errors.Is(err, gateway.ErrNoSpace) { // nobody can claim it meanwhile, at once or later
			err = m.Nack(ctx, 0)
		}
	}
	// Not held: fn has ended it, or it was lost and comes again. Uncertain: the session goes on with it.
	if errors.Is(err, session.ErrNotHeld) || errors.Is(err, gateway.ErrUncertain) && !errors.Is(err, gateway.ErrNoSpace) {
		return q.s.Err()
	}
	return err
}

// retryDelay is how long an item is kept back after an attempt that failed.
func retryDelay(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt, 1)-1, 6), time.Minute)
}
