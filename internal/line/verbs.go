package line

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/internal/core"
)

// Verbs are the verbs of a recipe that returns holds as N, such as *mutex.Lock. They implement the
// methods Do and Run that the recipes have in common.
type Verbs[N any] struct {
	Acquire func(context.Context) (N, error)
	Release func(N, context.Context) error // the inverse verb
	Hold    func(N) Hold
	// UntilReleased ends the context of fn also when the hold is released while fn runs. Without
	// it, fn may release the hold with its own context.
	UntilReleased bool
	// Repeat, if set, makes Run acquire another hold although the release of the last one succeeded.
	Repeat func(N) bool
}

// Do acquires a hold, runs fn under it, and releases it, also when fn panics or ends its goroutine.
// Returns the error of Acquire, or the error of fn joined with the error of the hold.
func (v Verbs[N]) Do(ctx context.Context, fn func(context.Context, N) error) error {
	_, err := v.do(ctx, fn)
	return err
}

// Run is [Verbs.Do], repeated each time another client deletes the key of the member, the hold is
// overdue, or Repeat says so, until ctx ends.
func (v Verbs[N]) Run(ctx context.Context, fn func(context.Context, N) error) error {
	for again := (Again{}); ; {
		lost, err := v.do(ctx, fn)
		if !lost || ctx.Err() != nil || again.Wait(ctx) != nil {
			return err
		}
	}
}

// do is Do. lost means that the hold was lost while the session lives, which may then join again.
func (v Verbs[N]) do(
	ctx context.Context, fn func(context.Context, N) error,
) (lost bool, err error) {
	noun, err := v.Acquire(ctx)
	if err != nil {
		return errors.Is(err, core.ErrKeyDeleted), err
	}
	h := v.Hold(noun)
	defer func() {
		release := func(ctx context.Context) error { return v.Release(noun, ctx) }
		ended := Finish(ctx, h.Grip, release)
		lost = errors.Is(ended, core.ErrKeyDeleted) || errors.Is(ended, core.ErrOverdue) ||
			v.Repeat != nil && v.Repeat(noun)
		err = errors.Join(err, ended)
	}()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if v.UntilReleased {
		h.OnEnd(cancel)
	}
	defer context.AfterFunc(h.Context(), func() { //nolint:contextcheck // the hold's own life
		if !h.Grip.Released() {
			cancel(h.Err())
		}
	})()
	return false, fn(run, noun)
}
