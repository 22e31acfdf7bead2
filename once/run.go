package once

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/internal/line"
)

// Run is one run of the function, and the hold under which it runs. It is safe for concurrent use.
type Run struct {
	o       *Once
	hold    line.Hold
	flight  *flight
	attempt int

	completed atomic.Bool   // a result was committed
	inDoubt   atomic.Bool   // a release was cut off, and continues in the background
	turn      chan struct{} // held during Complete; guards the rest
	res       Result        // if completed
	rejected  error         // of the last Complete
}

// Attempt returns the number of this run of the function since the last result, from 1. A run whose
// process died counts.
func (r *Run) Attempt() int { return r.attempt }

// Complete commits the result of the function and applies ops, in one transaction under the run's
// hold, which it ends. A function that returns a result without Complete commits it without ops. If
// Complete fails, the function has failed, even if it returns no error, unless it repeats Complete.
// Use [gateway.OpTxn] for operations with conditions of their own.
//
// Returns [ErrTooLarge] when value or ops exceed their limits, and [session.ErrNotHeld] when the
// hold has ended or Complete was called before: then nothing was applied. When ctx ends first it
// returns [gateway.ErrUncertain], and the session continues in the background. A repeated Complete
// then waits for the outcome of the first and ignores its own arguments. It returns ErrUncertain
// when the outcome cannot be found out, because the session was lost or the result is gone. After
// any other error, for example that the server rejected an operation, nothing was applied, and
// Complete may be called again. That is also true of [gateway.ErrNoSpace], which may match
// ErrUncertain although the session does not continue: at most one of the calls is applied.
func (r *Run) Complete(ctx context.Context, value []byte, ops ...gateway.Op) error {
	return r.o.line.Wrap("complete", r.complete(ctx, record{}, value, ops))
}

// complete commits a result, or the failure in rec. If ctx has ended it has a deadline of its own.
func (r *Run) complete(ctx context.Context, rec record, value []byte, ops []gateway.Op) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	unlock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	switch {
	case r.completed.Load():
		return core.ErrNotHeld
	case r.inDoubt.Load():
		return r.awaitOutcome(ctx)
	}
	rec.Attempt, rec.Fence = r.attempt, r.hold.Fence()
	err = r.commit(ctx, rec, value, ops)
	switch {
	case err == nil:
		r.succeed(rec.outcome(append([]byte(nil), value...)))
	case r.inDoubt.Load():
		r.o.land(r.flight)
	default:
		r.rejected = err
	}
	return err
}

// lock waits for a Complete that is under way. Returns [gateway.ErrUncertain] when ctx ends first.
func (r *Run) lock(ctx context.Context) (unlock func(), _ error) {
	unlock = func() { <-r.turn }
	select {
	case r.turn <- struct{}{}: // even if ctx has ended
		return unlock, nil
	default:
	}
	select {
	case r.turn <- struct{}{}:
		return unlock, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", gateway.ErrUncertain, ctxerr.Of(ctx))
	}
}

// commit releases the hold with the result.
func (r *Run) commit(ctx context.Context, rec record, value []byte, ops []gateway.Op) error {
	switch {
	case len(value) > MaxResult:
		return tooLarge("a result of %d bytes; %d are possible", len(value), MaxResult)
	case len(ops) > MaxOps:
		return tooLarge("%d operations; %d are possible", len(ops), MaxOps)
	}
	l := &r.o.line
	c := l.Session.Client()
	var kept []gateway.Option
	if r.o.opt.Retention > 0 {
		lease, err := c.Grant(ctx, gateway.NewLeaseID(), r.o.opt.Retention)
		if err != nil {
			return fmt.Errorf("no lease for the result: %w", core.Certain(ctx, err))
		}
		kept = append(kept, gateway.WithLease(lease.ID))
		defer func() {
			if !r.completed.Load() && !r.inDoubt.Load() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace.Time)
				defer cancel()
				_ = c.Revoke(ctx, lease.ID) // else it expires
			}
		}()
	}
	err := r.release(ctx, append([]gateway.Op{
		gateway.OpPut(l.SettingKey(resultSetting), rec.encode(value), kept...),
		gateway.OpDelete(l.SettingKey(attemptsSetting)),
		gateway.OpDelete(l.SettingKey(failureSetting)),
	}, ops...)...)
	r.completed.Store(err == nil)
	return err
}

// release releases the hold with ops. It notes whether the session continues the release.
func (r *Run) release(ctx context.Context, ops ...gateway.Op) error {
	err := r.hold.Grip.ReleaseWith(ctx, core.ReleaseWrite{Then: ops})
	if errors.Is(err, gateway.ErrUncertain) && !r.hold.Grip.Rejected() {
		r.inDoubt.Store(true)
	}
	return err
}

func tooLarge(format string, n, most int) error {
	return fmt.Errorf("%w: %w: "+format, gateway.ErrInvalid, ErrTooLarge, n, most)
}

// succeed passes the outcome on at once, because the function may go on.
func (r *Run) succeed(res Result, err error) {
	res.Ran = true
	r.res = res
	r.completed.Store(true)
	r.o.landWith(r.flight, res, err)
}

// awaitOutcome waits for a release that was cut off. The end of the release does not show whether
// the result was committed, because another client may have deleted the hold's key before. The
// result shows it by its fence.
func (r *Run) awaitOutcome(ctx context.Context) error {
	err := r.hold.Grip.Release(ctx)
	if errors.Is(err, gateway.ErrUncertain) {
		return err
	}
	res, failed := r.o.stored(ctx)
	if res.Fence == r.hold.Fence() {
		r.succeed(res, failed)
		return nil
	}
	if failed != nil && !errors.Is(failed, ErrNoResult) && !errors.Is(failed, ErrFailed) {
		err = errors.Join(err, failed)
	}
	if err == nil {
		err = core.ErrNotHeld
	}
	return fmt.Errorf("%w: %w", gateway.ErrUncertain, err)
}
