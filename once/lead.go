package once

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
)

type enterFunc func(context.Context, line.Join) (line.Hold, error)

// foundError ends a wait in the line, because there is a result.
type foundError struct{ value string }

func (*foundError) Error() string { return "there is a result" }

// lead returns the result, for which it runs fn if there is none. forAll means that all callers
// receive the same.
func (o *Once) lead(
	ctx context.Context, f *flight, fn function, enter enterFunc,
) (_ Result, forAll bool, _ error) {
	if err := o.check(); err != nil {
		return Result{}, false, err
	}
	key := o.line.SettingKey(resultSetting)
	h, err := enter(ctx, line.Join{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)},
		Else: []gateway.Op{gateway.OpGet(key)},
		Abort: func(v line.Snapshot, _ line.Member) error {
			if value, ok := v.Settings[resultSetting]; ok {
				return &foundError{value}
			}
			return nil
		},
		Exclusive:        true,
		AbortsBySettings: true,
	})
	if err != nil {
		return settled(key, err)
	}
	r := &Run{o: o, hold: h, flight: f, turn: make(chan struct{}, 1)}
	during, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.Context(), func() { //nolint:contextcheck // the hold's own life
		if !h.Grip.Released() {
			o.land(f) // before fn returns, because the next run need not wait for that
			cancel(h.Err())
		}
	})()
	// A Complete that was rejected has ended the hold, but its key still keeps others out.
	defer context.AfterFunc(o.line.Session.Context(), func() { //nolint:contextcheck // as above
		if !r.completed.Load() {
			cancel(o.line.Session.Err())
		}
	})()
	last, kv, err := r.begin(during)
	if err != nil || kv != nil {
		h.Abandon(ctx) // in the background, because the result may be here
		if err != nil {
			return Result{}, false, r.orLost(ctx, err)
		}
		res, err := decode(*kv)
		return res, true, err
	}
	defer r.leave(ctx) // also if fn panics or ends its goroutine
	if most := o.opt.MaxAttempts; most > 0 && r.attempt > most {
		return r.exhausted(ctx, last)
	}
	if last.Error != "" {
		if err := r.pause(during, last.Attempt); err != nil {
			return Result{}, false, r.orLost(ctx, err)
		}
	}
	return r.run(ctx, during, fn)
}

// settled returns the result that kept a caller from running, or its error.
func settled(key string, err error) (_ Result, forAll bool, _ error) {
	if f, ok := errors.AsType[*foundError](err); ok {
		res, err := decode(gateway.KeyValue{Key: key, Value: []byte(f.value)})
		return res, true, err
	}
	if refused, ok := errors.AsType[*line.RefusedError](err); ok {
		kvs := refused.Responses[0].Get.KVs
		if len(kvs) == 0 {
			return Result{}, false, fmt.Errorf(
				"%w: the result exists and does not", gateway.ErrProtocol)
		}
		res, err := decode(kvs[0])
		return res, true, err
	}
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		err = fmt.Errorf("%w: %w", ErrRunning, occupied)
	}
	return Result{}, false, err
}

// begin counts the attempt. It returns the failure of the attempt before, or the result if there is
// one.
func (r *Run) begin(ctx context.Context) (last record, _ *gateway.KeyValue, _ error) {
	l := &r.o.line
	attempts, failure := l.SettingKey(attemptsSetting), l.SettingKey(failureSetting)
	result := l.SettingKey(resultSetting)
	for {
		// The reads are a transaction of their own, because an answer that was lost leaves no
		// responses.
		counted, err := r.hold.Txn(ctx, gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpCreateRevision(result, gateway.Equal, 0)},
			Then: []gateway.Op{gateway.OpPut(attempts, nil)},
		})
		if err != nil {
			return record{}, nil, err
		}
		resp, err := l.Session.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
			gateway.OpGet(attempts), gateway.OpGet(failure), gateway.OpGet(result),
		}})
		if err != nil {
			return record{}, nil, err
		}
		if done := resp.Responses[2].Get.KVs; len(done) > 0 {
			return record{}, &done[0], nil
		}
		if !counted.Succeeded {
			continue // the result was there, and was forgotten
		}
		r.attempt = 1
		if kvs := resp.Responses[0].Get.KVs; len(kvs) > 0 { // else another client has deleted it
			r.attempt = int(kvs[0].Version)
		}
		return decodeFailure(resp.Responses[1].Get.KVs, r.attempt-1), nil, nil
	}
}

// orLost returns the loss of the hold if that has ended a request before the caller's ctx did.
func (r *Run) orLost(ctx context.Context, err error) error {
	lost := r.hold.Err()
	switch {
	case !errors.Is(lost, core.ErrLost):
		return err
	case ctx.Err() == nil:
		return lost
	}
	return fmt.Errorf("%w: %w", lost, err)
}

// pause waits after a run that failed.
func (r *Run) pause(ctx context.Context, attempt int) error {
	backoff := r.o.opt.Backoff
	if backoff == nil {
		backoff = core.RetryDelay
	}
	return line.Pause(ctx, r.hold.Hold, backoff(attempt))
}

// leave releases the hold of a run without a result.
func (r *Run) leave(ctx context.Context) {
	if r.completed.Load() || r.inDoubt.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, line.FinishTimeout)
	defer cancel()
	// Without the operations of a release that was rejected, which would be rejected again.
	_ = r.release(ctx)
}

var errUnwound = errors.New("the function panicked or ended its goroutine")

// run runs fn with the context during, and commits its result.
func (r *Run) run(
	ctx, during context.Context, fn function,
) (_ Result, forAll bool, _ error) {
	returned := false
	defer func() {
		if !returned {
			_, _, _ = r.failed(ctx, errUnwound)
		}
	}()
	value, err := fn(during, r)
	returned = true
	unlock, uncertain := r.lock(ctx)
	if uncertain != nil {
		return Result{}, false, errors.Join(err, uncertain)
	}
	completed, inDoubt, rejected, res := r.completed.Load(), r.inDoubt.Load(), r.rejected, r.res
	unlock()
	switch lost := r.hold.Err(); {
	case completed:
		return res, true, err
	case inDoubt && err != nil:
		return Result{}, false, errors.Join(err, gateway.ErrUncertain)
	case inDoubt:
		err = r.complete(ctx, record{}, nil, nil)
		return r.res, err == nil, err
	case errors.Is(lost, core.ErrLost):
		return Result{}, false, errors.Join(err, lost)
	case err == nil && rejected != nil:
		err = rejected
	case err == nil:
		err = r.complete(ctx, record{}, value, nil)
		if err == nil || errors.Is(err, gateway.ErrUncertain) || errors.Is(err, core.ErrNotHeld) {
			return r.res, err == nil, err
		}
	}
	return r.failed(ctx, err)
}

// failed records the error of fn, as the result if no attempts are left.
func (r *Run) failed(ctx context.Context, cause error) (_ Result, forAll bool, _ error) {
	most := r.o.opt.MaxAttempts
	if most > 0 && r.attempt >= most {
		return r.fail(ctx, cause)
	}
	ctx, cancel := context.WithTimeout(ctx, line.FinishTimeout)
	defer cancel()
	rec := record{Attempt: r.attempt, Fence: r.hold.Fence(), Error: text(cause)}
	err := r.release(ctx, gateway.OpPut(r.o.line.SettingKey(failureSetting), rec.encode(nil)))
	return Result{Attempt: r.attempt, Ran: true}, false, errors.Join(cause, err)
}

// fail commits the failure of the last attempt.
func (r *Run) fail(ctx context.Context, cause error) (_ Result, forAll bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, line.FinishTimeout)
	defer cancel()
	if err := r.complete(ctx, record{Error: text(cause)}, nil, nil); err != nil {
		return Result{}, false, errors.Join(cause, err)
	}
	// The calls that wait have the outcome already.
	return r.res, false, &FailedError{Attempts: r.attempt, Text: text(cause), cause: cause}
}

var errNoResult = errors.New("the last run ended without a result")

// exhausted commits the failure of the last attempt in place of its process. last is the failure
// that it recorded, if it did.
func (r *Run) exhausted(ctx context.Context, last record) (_ Result, forAll bool, _ error) {
	r.attempt-- // this one does not run
	cause := errNoResult
	if last.Error != "" {
		cause = errors.New(last.Error)
	}
	res, _, err := r.fail(ctx, cause)
	res.Ran = false
	return res, false, err
}
