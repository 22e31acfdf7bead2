package once

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// MaxResult is the largest result in bytes. etcd accepts requests of up to 1.5 MiB.
const MaxResult = 1 << 20

// MaxOps is the largest number of operations of [Run.Complete].
const MaxOps = 100

// Sentinels for [errors.Is].
var (
	// ErrRunning is returned by [Once.TryDo] when another caller runs the function or waits for it.
	ErrRunning = errors.New("running")
	// ErrFailed is returned when the last attempt has failed, see [Options.MaxAttempts]. The error
	// has the text of the function's error.
	ErrFailed = errors.New("failed")
	// ErrNoResult is returned by [Once.Result] and [Once.Forget] when there is no result.
	ErrNoResult = errors.New("no result")
	// ErrTooLarge is returned when a result exceeds [MaxResult] or there are more than [MaxOps]
	// operations. The error also matches [gateway.ErrInvalid].
	ErrTooLarge = errors.New("too large")
)

// Options configure a [Once]. nil means the zero value. They apply to this Once only and are not
// stored in etcd, so all callers of a name should have the same.
type Options struct {
	// Retention is the time for which a result is kept after it was committed. The function may run
	// again after that. 0 means until [Once.Forget].
	Retention time.Duration
	// MaxAttempts is the number of runs after which an error of the function becomes the result. 0
	// means no limit.
	MaxAttempts int
	// Backoff returns the pause after a run that returned an error. The caller that runs next waits
	// for it before it runs. Runs that ended in another way need no pause, because their hold had to
	// expire. If it is nil, the pause is 1 s, doubled with each attempt up to 1 minute.
	Backoff func(attempt int) time.Duration
}

// Result is the result of a function.
type Result struct {
	Value   []byte
	Attempt int   // the number of the run that returned it
	Fence   int64 // of that run, see [session.Hold]
	Ran     bool  // this call ran the function
}

// Once is a function's name as one session uses it. It is safe for concurrent use.
type Once struct {
	opt  Options
	line line.Line

	mu     sync.Mutex
	flight *flight // the call that stands in the line for all calls; nil if there is none
}

// flight is the call that stands in the line for all calls of a Once.
type flight struct {
	done  chan struct{} // closed at its end
	found bool          // result and err are the outcome for all that waited
	res   Result
	err   error
}

// New returns the function's name, which all sessions share. It sends no request. If the name or
// the options cannot be used, the first call returns [gateway.ErrInvalid].
func New(s *session.Session, name string, opts *Options) *Once {
	o := &Once{line: line.Line{
		Session: core.Of(s), Name: name, Kind: "once", Rule: line.Exclusive,
	}}
	if opts != nil {
		o.opt = *opts
	}
	return o
}

// Do returns the result of fn. If there is none yet, Do waits while another caller runs the
// function, and runs fn if that one gives up. The context of fn ends with ctx and when the hold of
// the run is lost.
//
// Returns the error of fn when this call has run it and attempts are left, [ErrFailed] when the
// last attempt has failed, and else the errors of the package.
func (o *Once) Do(
	ctx context.Context, fn func(context.Context, *Run) ([]byte, error),
) (Result, error) {
	res, err := o.do(ctx, fn)
	return res, o.line.Wrap("do", err)
}

// TryDo is [Once.Do] without waiting for other callers: it returns [ErrRunning] when another caller
// runs the function or waits for it.
func (o *Once) TryDo(
	ctx context.Context, fn func(context.Context, *Run) ([]byte, error),
) (Result, error) {
	res, err := o.tryDo(ctx, fn)
	return res, o.line.Wrap("try do", err)
}

// Result reads the result. Returns [ErrNoResult] when there is none, and [ErrFailed] when the last
// attempt has failed.
func (o *Once) Result(ctx context.Context) (Result, error) {
	res, err := o.read(ctx)
	return res, o.line.Wrap("result", err)
}

func (o *Once) read(ctx context.Context) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	resp, err := o.line.Session.Client().Get(ctx, o.line.SettingKey(resultSetting))
	switch {
	case err != nil:
		return Result{}, err
	case len(resp.KVs) == 0:
		return Result{}, ErrNoResult
	}
	return decode(resp.KVs[0])
}

// Forget deletes the result, so that the function can run again. Returns [ErrNoResult] when there
// is none.
func (o *Once) Forget(ctx context.Context) error {
	err := o.check()
	if err == nil {
		err = o.line.Session.Remove(ctx, o.line.SettingKey(resultSetting))
	}
	if errors.Is(err, core.ErrNotHeld) && !errors.Is(err, core.ErrLost) {
		err = ErrNoResult
	}
	return o.line.Wrap("forget", err)
}

func (o *Once) check() error {
	switch {
	case o.opt.Retention < 0 || o.opt.Retention > gateway.MaxTTL:
		return fmt.Errorf("%w: a Retention of %v", gateway.ErrInvalid, o.opt.Retention)
	case o.opt.MaxAttempts < 0:
		return fmt.Errorf("%w: a negative MaxAttempts", gateway.ErrInvalid)
	}
	return o.line.Session.CheckName(o.line.Name)
}

// do joins the flight, or is the flight.
func (o *Once) do(
	ctx context.Context, fn func(context.Context, *Run) ([]byte, error),
) (Result, error) {
	for {
		f, first := o.join()
		if first {
			return o.fly(ctx, f, fn, o.line.Enter)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return Result{}, ctxerr.Of(ctx)
		}
		if f.found {
			return f.res, f.err
		}
	}
}

func (o *Once) tryDo(
	ctx context.Context, fn func(context.Context, *Run) ([]byte, error),
) (Result, error) {
	f, first := o.join()
	if !first {
		return Result{}, ErrRunning
	}
	return o.fly(ctx, f, fn, o.line.Try)
}

// join returns the flight, and whether the caller must fly it.
func (o *Once) join() (_ *flight, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flight != nil {
		return o.flight, false
	}
	o.flight = &flight{done: make(chan struct{})}
	return o.flight, true
}

// fly passes the outcome to the calls that wait for the flight, if it is one for all.
func (o *Once) fly(
	ctx context.Context, f *flight, fn func(context.Context, *Run) ([]byte, error), enter enterFunc,
) (Result, error) {
	defer func() { // also if fn panics or ends its goroutine
		o.mu.Lock()
		defer o.mu.Unlock()
		o.flight = nil
		close(f.done)
	}()
	res, found, err := o.lead(ctx, fn, enter)
	if found {
		f.found, f.res, f.err = true, res, err
		f.res.Ran = false
		f.res.Value = append([]byte(nil), res.Value...)
	}
	return res, err
}
