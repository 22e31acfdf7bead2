package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// MaxConcurrency is the largest number of goroutines of a [Queue.Consume].
const MaxConcurrency = 10_000

// Consume receives messages in concurrency goroutines and calls fn with each. It claims one item
// for each goroutine that is free, and [Options.Prefetch] items ahead. If fn returns nil, Consume
// acks the message, while the goroutine receives the next. If fn returns an error, Consume
// gives the message back with the delay of [Options.Backoff]. If fn has ended the message itself,
// Consume leaves it as it is.
//
// If fn panics, Consume gives the message back with a delay, and the panic then ends the program.
// If fn ends its goroutine, for example with [runtime.Goexit], Consume gives the message back with
// a delay and returns an error.
//
// When ctx ends, Consume stops receiving, waits for the running calls of fn, ends their messages,
// gives back the items that the Queue has claimed ahead, and returns ctx's error. The context of fn
// ends with the claim, not with ctx. Returns [gateway.ErrInvalid] when concurrency is out of range,
// [session.ErrLost] when the session ends, and else the error of a call that failed.
func (q *Queue) Consume(
	ctx context.Context, concurrency int, fn func(ctx context.Context, m *Message) error,
) error {
	if concurrency < 1 || concurrency > MaxConcurrency {
		return q.wrap("consume",
			invalid("a concurrency of %d is not between 1 and %d", concurrency, MaxConcurrency))
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
	ending := make(chan struct{}, concurrency+q.opt.Prefetch)
	for range concurrency {
		workers.Go(func() {
			for m, err := range q.Messages(run) {
				if err != nil {
					fail(err)
					return
				}
				err = q.handle(run, m, fn, fail)
				ending <- struct{}{}
				if q.pace == nil && m.Err() == nil { // else it makes them share
					core.Expect(q.s, 2)
				}
				var sent <-chan struct{}
				if q.pace != nil && err == nil {
					sent = q.pace.joinAck()
				}
				ends.Go(func() { // meanwhile, so that a transaction has the ack and the next claim
					if sent != nil {
						q.pace.awaitAck(run, sent)
					}
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
	q.releaseAhead(ctx)
	return first
}

var errExited = errors.New("the function ended its goroutine")

// handle calls fn. If fn does not return, its goroutine ends after the message was given back.
func (q *Queue) handle(
	run context.Context, m *Message, fn func(context.Context, *Message) error, fail func(error),
) error {
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(run), settleTimeout)
	defer cancel()
	if err == nil {
		err = m.Ack(ctx)
	} else {
		err = m.Nack(ctx, max(q.opt.Backoff(m.Attempt), 0))
		if errors.Is(err, gateway.ErrNoSpace) { // no consumer can claim it meanwhile
			err = line.GiveBack(ctx, m.grip, func(ctx context.Context) error {
				return m.Nack(ctx, 0)
			})
			if errors.Is(err, gateway.ErrNoSpace) {
				return q.s.Err() // the session goes on with it
			}
		}
	}
	// Not held: fn has ended it, or it was lost and comes again. Uncertain: the session goes on
	// with it.
	if errors.Is(err, session.ErrNotHeld) ||
		errors.Is(err, gateway.ErrUncertain) && !errors.Is(err, gateway.ErrNoSpace) {
		return q.s.Err()
	}
	return err
}
