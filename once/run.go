package once

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
)

// Run is one run of the function, and the hold under which it runs. It is safe for concurrent use.
type Run struct {
	o       *Once
	hold    line.Hold
	attempt int

	mu    sync.Mutex
	done  bool // the result was committed
	doubt bool // it may have been, or will be
	res   Result
}

// Attempt returns the number of this run of the function since the last result, from 1. A run whose
// process died counts.
func (r *Run) Attempt() int { return r.attempt }

// Complete commits the result of the function and applies ops, in one transaction under the run's
// hold, which it ends. A function that returns a result without Complete commits it without ops.
// Use [gateway.OpTxn] for operations with conditions of their own.
//
// Returns [ErrTooLarge] when value or ops exceed their limits, and [session.ErrNotHeld] when the
// hold has ended or Complete was called before: then nothing was applied. When ctx ends first it
// returns [gateway.ErrUncertain], and a repeated Complete waits for the outcome. After any other
// error, for example that the server rejected an operation, it may be called again.
func (r *Run) Complete(ctx context.Context, value []byte, ops ...gateway.Op) error {
	return r.o.line.Wrap("complete", r.complete(ctx, record{}, value, ops))
}

func (r *Run) complete(ctx context.Context, rec record, value []byte, ops []gateway.Op) error {
	switch {
	case len(value) > MaxResult:
		return fmt.Errorf("%w: %w: a result of %d bytes; %d are possible",
			gateway.ErrInvalid, ErrTooLarge, len(value), MaxResult)
	case len(ops) > MaxOps:
		return fmt.Errorf("%w: %w: %d operations; %d are possible",
			gateway.ErrInvalid, ErrTooLarge, len(ops), MaxOps)
	}
	rec.Attempt, rec.Fence = r.attempt, r.hold.Fence()
	l := &r.o.line
	var kept []gateway.Option
	if r.o.opt.Retention > 0 {
		g, err := l.Session.Client().Grant(ctx, gateway.NewLeaseID(), r.o.opt.Retention)
		if err != nil {
			return err
		}
		kept = append(kept, gateway.WithLease(g.ID))
	}
	res := Result{
		Value: append([]byte(nil), value...), Attempt: rec.Attempt, Fence: rec.Fence, Ran: true,
	}
	err := r.hold.Grip.ReleaseWith(ctx, core.ReleaseWrite{Then: append([]gateway.Op{
		gateway.OpPut(l.SettingKey(resultSetting), rec.encode(value), kept...),
		gateway.OpDelete(l.SettingKey(attemptsSetting)),
		gateway.OpDelete(l.SettingKey(failureSetting)),
	}, ops...)})
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.done, r.res = true, res
	case errors.Is(err, gateway.ErrUncertain):
		r.doubt = true
	}
	return err
}

type enterFunc func(context.Context, line.Join) (line.Hold, error)

// found ends a wait in the line, because there is a result.
type found struct{ value string }

func (f *found) Error() string { return "there is a result" }

// lead returns the result, for which it runs fn if there is none. found means that the outcome is
// one for all callers.
func (o *Once) lead(
	ctx context.Context, fn func(context.Context, *Run) ([]byte, error), enter enterFunc,
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
				return &found{value}
			}
			return nil
		},
	})
	if err != nil {
		return o.settled(key, err)
	}
	r := &Run{o: o, hold: h}
	during, cancel := context.WithCancelCause(ctx)
	defer func() { // also if fn panics or ends its goroutine
		cancel(nil)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), line.FinishTimeout)
		defer cancel()
		// Without operations, because those of a release that was rejected would be again.
		_ = h.Grip.ReleaseWith(ctx, core.ReleaseWrite{})
	}()
	defer context.AfterFunc(h.Context(), func() { //nolint:contextcheck // the hold's own life
		if !h.Grip.Released() {
			cancel(h.Err())
		}
	})()
	kv, err := r.begin(during)
	switch {
	case err != nil:
		return Result{}, false, err
	case kv != nil:
		res, err := decode(*kv)
		return res, true, err
	}
	return r.run(ctx, during, fn)
}

// settled returns the result that kept a caller from running, or its error.
func (o *Once) settled(key string, err error) (_ Result, forAll bool, _ error) {
	if f, ok := errors.AsType[*found](err); ok {
		res, err := decode(gateway.KeyValue{Key: key, Value: []byte(f.value)})
		return res, true, err
	}
	if refused, ok := errors.AsType[*line.RefusedError](err); ok {
		kvs := refused.Responses[0].Get.KVs
		if len(kvs) == 0 { // a copy of the join found the key of its first one
			return Result{}, false, fmt.Errorf("%w: the result exists and does not", gateway.ErrProtocol)
		}
		res, err := decode(kvs[0])
		return res, true, err
	}
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		err = fmt.Errorf("%w: %w", ErrRunning, occupied)
	}
	return Result{}, false, err
}

// begin counts the attempt, and waits after one that returned an error. It returns the result if
// there is one.
func (r *Run) begin(ctx context.Context) (*gateway.KeyValue, error) {
	l := &r.o.line
	attempts, failure := l.SettingKey(attemptsSetting), l.SettingKey(failureSetting)
	result := l.SettingKey(resultSetting)
	// The reads are a transaction of their own, because an answer that was lost leaves no responses.
	_, err := r.hold.Txn(ctx, gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(result, gateway.Equal, 0)},
		Then: []gateway.Op{gateway.OpPut(attempts, nil)},
	})
	if err != nil {
		return nil, err
	}
	resp, err := l.Session.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(attempts), gateway.OpGet(failure), gateway.OpGet(result),
	}})
	if err != nil {
		return nil, err
	}
	counted, failed, done := resp.Responses[0].Get, resp.Responses[1].Get, resp.Responses[2].Get
	if len(done.KVs) > 0 {
		return &done.KVs[0], nil
	}
	r.attempt = 1
	if len(counted.KVs) > 0 { // else another client has deleted it
		r.attempt = int(counted.KVs[0].Version)
	}
	var last record
	if len(failed.KVs) == 0 || json.Unmarshal(failed.KVs[0].Value, &last) != nil ||
		last.Attempt != r.attempt-1 {
		return nil, nil
	}
	return nil, r.pause(ctx, last.Attempt)
}

// pause waits after a run that returned an error.
func (r *Run) pause(ctx context.Context, attempt int) error {
	backoff := r.o.opt.Backoff
	if backoff == nil {
		backoff = defaultBackoff
	}
	return line.Pause(ctx, r.hold.Hold, backoff(attempt))
}

func defaultBackoff(attempt int) time.Duration {
	return min(time.Second<<min(attempt-1, 6), time.Minute)
}

// run runs fn with the context during, and commits its result.
func (r *Run) run(
	ctx, during context.Context, fn func(context.Context, *Run) ([]byte, error),
) (_ Result, forAll bool, _ error) {
	value, err := fn(during, r)
	r.mu.Lock()
	done, doubt, res := r.done, r.doubt, r.res
	r.mu.Unlock()
	switch lost := r.hold.Err(); {
	case done:
		return res, true, nil
	case doubt && err != nil:
		return Result{}, false, errors.Join(err, gateway.ErrUncertain)
	case errors.Is(lost, core.ErrLost):
		return Result{}, false, errors.Join(err, lost)
	case err != nil:
		return r.failed(ctx, err)
	}
	err = r.complete(ctx, record{}, value, nil)
	return r.res, err == nil, err
}

// failed records the error of fn, as the result if no attempts are left.
func (r *Run) failed(ctx context.Context, cause error) (_ Result, forAll bool, _ error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), line.FinishTimeout)
	defer cancel()
	rec := record{Attempt: r.attempt, Fence: r.hold.Fence(), Error: text(cause)}
	if r.o.opt.MaxAttempts > 0 && r.attempt >= r.o.opt.MaxAttempts {
		if err := r.complete(ctx, rec, nil, nil); err != nil {
			return Result{}, false, errors.Join(cause, err)
		}
		err := fmt.Errorf("%w after %d attempts: %w", ErrFailed, r.attempt, cause)
		return Result{Attempt: r.attempt, Fence: rec.Fence, Ran: true}, true, err
	}
	failure := gateway.OpPut(r.o.line.SettingKey(failureSetting), rec.encode(nil))
	err := r.hold.Grip.ReleaseWith(ctx, core.ReleaseWrite{Then: []gateway.Op{failure}})
	return Result{Attempt: r.attempt, Ran: true}, false, errors.Join(cause, err)
}

// maxText bounds the text of an error that is stored.
const maxText = 4 << 10

func text(err error) string {
	s := strings.ToValidUTF8(err.Error(), "�")
	if s == "" {
		s = "an error without text"
	}
	return s[:min(len(s), maxText)]
}
