package cron

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// timeoutGrace is the time for which a function may go on after its Timeout.
const timeoutGrace = time.Second

// finishTimeout bounds the end of a tick whose function has succeeded, and the release of the place
// while a function overruns its Timeout.
const finishTimeout = 2 * time.Second

// retryPause is the pause between the attempts to end a tick while the database is full.
const retryPause = time.Second

var errUnwound = errors.New("the function panicked or ended its goroutine")

// run runs the function and ends the attempt. failed means that the attempt has failed.
func (t *Tick) run(ctx context.Context, asked time.Time) (failed bool, _ error) {
	during, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.hold.Context(), func() { //nolint:contextcheck // the hold's own life
		if !t.grip.Released() {
			cancel(t.hold.Err())
		}
	})()
	returned := false
	defer func() {
		if !returned && t.claim() {
			_ = t.fail(ctx, errUnwound)
		}
	}()
	s := t.r.line.Session
	s.ObserveHold(ctx, t.hold, "tick", t.r.name, asked)
	err := s.Ready(ctx)
	if err == nil {
		err = t.hold.Err()
	}
	if err != nil {
		returned = true
		return false, errors.Join(err, t.stop(ctx))
	}
	overrun := make(chan struct{})
	if d := t.r.opt.Timeout; d > 0 {
		timed, stop := context.WithTimeoutCause(during, d, ErrTimeout)
		defer stop()
		during = timed
		grace := min(timeoutGrace, math.MaxInt64-d) // the largest d must not overflow
		timer := time.AfterFunc(d+grace, func() {
			if t.claim() {
				defer close(overrun)
				t.giveUp(ctx)
			}
		})
		defer timer.Stop()
	}
	err = t.r.fn(during, t)
	returned = true
	if !t.claim() {
		<-overrun
		return true, nil
	}
	if errors.Is(context.Cause(during), ErrTimeout) && err != nil {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return t.end(ctx, err)
}

// claim reports whether the caller is the first that ends the attempt.
func (t *Tick) claim() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.ending
	t.ending = true
	return first
}

// giveUp gives the tick and the place in the line to another replica while the function goes on.
func (t *Tick) giveUp(ctx context.Context) {
	t.mu.Lock()
	complete := t.complete
	t.mu.Unlock()
	if !complete {
		_ = t.fail(ctx, ErrTimeout)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	_ = t.r.place.Grip.Release(ctx)
}

// end ends the attempt after the function has returned.
func (t *Tick) end(ctx context.Context, err error) (failed bool, _ error) {
	t.mu.Lock()
	complete, inDoubt, rejected := t.complete, t.inDoubt, t.rejected
	t.mu.Unlock()
	lost := t.hold.Err()
	switch {
	case complete:
		return false, nil
	case inDoubt:
		return false, t.awaitOutcome(ctx)
	case errors.Is(lost, core.ErrLost):
		return false, lost
	case err == nil && rejected == nil:
		return false, t.succeed(ctx)
	case ctx.Err() != nil:
		return false, t.stop(ctx)
	}
	return true, t.fail(ctx, errors.Join(err, rejected))
}

// finishInTime ends the tick with success. The end of ctx does not cut it off, because the work is
// done, and another replica would do it again.
func (t *Tick) finishInTime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	return t.finish(ctx, nil)
}

// succeed ends the tick. While the database is full it tries again, because the work is done.
func (t *Tick) succeed(ctx context.Context) error {
	for {
		err := t.finishInTime(ctx)
		if !errors.Is(err, gateway.ErrNoSpace) || ctx.Err() != nil {
			return err
		}
		if sleep(ctx, retryPause) != nil {
			return err
		}
	}
}
