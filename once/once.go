package once

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
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
	// is a [*FailedError].
	ErrFailed = errors.New("failed")
	// ErrNoResult is returned by [Once.Result] and [Once.Forget] when there is no result.
	ErrNoResult = errors.New("no result")
	// ErrTooLarge is returned when a result exceeds [MaxResult] or there are more than [MaxOps]
	// operations. The error also matches [gateway.ErrInvalid].
	ErrTooLarge = errors.New("too large")
)

// FailedError is the failure of the last attempt, which is the result for all callers. It matches
// [ErrFailed]. In the process that ran the last attempt it also wraps the error of the function.
type FailedError struct {
	Attempts int
	Text     string // of the function's error, of which at most 4 KiB are stored
	cause    error
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("failed after %d attempts: %s", e.Attempts, e.Text)
}

// Unwrap returns [ErrFailed], and the error of the function where that is known.
func (e *FailedError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrFailed}
	}
	return []error{ErrFailed, e.cause}
}

// Options configure a [Once]. nil means the zero value. They apply to this Once only and are not
// stored in etcd, so all callers of a name should have the same.
type Options struct {
	// Retention is the time for which a result is kept after it was committed. The function may run
	// again after that. 0 means until [Once.Forget].
	Retention time.Duration
	// MaxAttempts is the greatest number of runs. A run counts however it ends, also if its process
	// died. When the last one has returned an error or ended in another way, that failure becomes
	// the result, see [FailedError]. 0 means no limit.
	MaxAttempts int
	// Backoff returns the pause after a run that failed. The caller that runs next waits for it
	// before it runs. There is no pause after a run whose process died, because its hold had to
	// expire. If Backoff is nil, the pause is 1 s, doubled with each attempt up to 1 minute.
	Backoff func(attempt int) time.Duration
}

// Result is the result of a function.
type Result struct {
	Value   []byte // must not be modified, because calls that waited together share it
	Attempt int    // the number of the run that returned it
	Fence   int64  // of that run, see [session.Hold]
	Ran     bool   // this call ran the function
}

// Once is a function's name as one session uses it. It is safe for concurrent use.
type Once struct {
	opt  Options
	line line.Line

	mu     sync.Mutex
	flight *flight // the call that joins the line for all calls; nil if there is none
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
// function, and runs fn if that run ends without a result. The context of fn ends with ctx and when
// the hold of the run is lost.
//
// Returns the error of fn when this call ran it and attempts are left. Returns [ErrFailed] when the
// last attempt has failed. Returns a result and an error when fn fails after [Run.Complete].
// Otherwise it returns the errors of the package.
func (o *Once) Do(
	ctx context.Context, fn func(context.Context, *Run) ([]byte, error),
) (Result, error) {
	res, err := o.do(ctx, fn)
	return res, o.line.Wrap("do", err)
}

// TryDo is [Once.Do] without waiting for other callers: it returns [ErrRunning] when another caller
// runs the function or waits for it. It waits for the pause of [Options.Backoff] before it runs fn.
func (o *Once) TryDo(
	ctx context.Context, fn func(context.Context, *Run) ([]byte, error),
) (Result, error) {
	res, err := o.tryDo(ctx, fn)
	return res, o.line.Wrap("try do", err)
}

// Result reads the result. Returns [ErrNoResult] when there is none, [ErrFailed] when the last
// attempt has failed, and [session.ErrCorrupt] when this library did not write the value.
func (o *Once) Result(ctx context.Context) (Result, error) {
	res, err := o.read(ctx)
	return res, o.line.Wrap("result", err)
}

func (o *Once) read(ctx context.Context) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	return o.stored(ctx)
}

// stored is read for a name and options that have been checked.
func (o *Once) stored(ctx context.Context) (Result, error) {
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
// is none. A caller that waited while the result was committed may run the function again, if its
// process receives the result and the deletion together.
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
