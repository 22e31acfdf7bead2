package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// waitFlags describe how long to wait for others.
type waitFlags struct {
	noWait bool
	wait   duration
	given  func() bool // whether wait was typed; nil if the verb has no such flag
	code   int
	began  time.Time // start of the wait, which includes the connection to etcd
}

func (f *waitFlags) add(cmd *cobra.Command, noWait bool) {
	fs := cmd.Flags()
	if noWait {
		fs.BoolVarP(&f.noWait, "no-wait", "n", false, "do not wait")
	}
	fs.VarP(&f.wait, "wait", "w", "wait this long at most; 0 is to try once (default without end)")
	fs.IntVarP(&f.code, "conflict-exit-code", "E", codeNo,
		"exit with this status if the wait was in vain")
	f.given = func() bool { return fs.Changed("wait") }
}

func (f *waitFlags) bounded() bool { return f.given != nil && f.given() }

// once reports whether not to wait. -w 0 is the same as -n, as in flock.
func (f *waitFlags) once() bool { return f.noWait || f.bounded() && f.wait == 0 }

// check validates the flags and starts the wait.
func (f *waitFlags) check() error {
	if f.code < 0 || f.code > 255 {
		return usagef("-E %d is no exit status; type a number from 0 to 255", f.code)
	}
	if f.noWait && f.bounded() {
		return usagef("-n and -w contradict each other; type one of them")
	}
	f.began = time.Now()
	return nil
}

// minAnswerLimit is the least time that etcd has to answer, however short the wait for others is.
// Otherwise a short wait would miss a lock that is free.
const minAnswerLimit = time.Second

// answerLimit returns how long etcd may take to answer. timeout is --command-timeout.
func (f *waitFlags) answerLimit(timeout time.Duration) time.Duration {
	if f.once() || !f.bounded() {
		return timeout
	}
	return min(timeout, max(time.Duration(f.wait), minAnswerLimit))
}

// context returns a context that ends with the wait.
func (f *waitFlags) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if !f.bounded() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, f.began.Add(time.Duration(f.wait)), errNotInTime)
}

// attempt is a verb of a recipe in its two forms: one waits, the other does not.
type attempt[T any] struct {
	try, wait func(context.Context) (T, error)
	delay     time.Duration // a lock delay, for which a try waits too
}

// get tries before it waits if the wait is bounded, because a wait that ends before etcd has
// answered would miss a lock that is free.
func (t attempt[T]) get(ctx context.Context, a *app, f *waitFlags) (T, error) {
	wctx, cancel := f.context(ctx)
	defer cancel()
	if !f.once() && (!f.bounded() || t.delay > 0) {
		return t.wait(wctx)
	}
	v, err := t.tryWithin(ctx, f, f.answerLimit(time.Duration(a.connect.timeout)))
	if err == nil || f.once() || !mustWait(err) {
		return v, err
	}
	return t.wait(wctx)
}

func (t attempt[T]) tryWithin(ctx context.Context, f *waitFlags, limit time.Duration) (T, error) {
	switch {
	case t.delay == 0:
		tctx, cancel := answerWithin(ctx, limit)
		defer cancel()
		return t.try(tctx)
	case f.bounded():
		tctx, cancel := context.WithTimeoutCause(ctx, limit, errNotInTime)
		defer cancel()
		return t.try(tctx)
	}
	return t.try(ctx)
}

// with binds the argument of a verb.
func with[A, T any](
	verb func(context.Context, A) (T, error), arg A,
) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) { return verb(ctx, arg) }
}

// waitFor waits without a session. It looks first, within the time that etcd has to answer, because
// a wait without end would not report that etcd is out of reach. look returns [errNotInTime] if it
// would have to wait.
func (a *app) waitFor(
	ctx context.Context, f *waitFlags, look, wait func(context.Context) error,
) error {
	if _, err := a.dial(); err != nil {
		return err
	}
	wctx, cancel := f.context(ctx)
	defer cancel()
	lctx, cancel := answerWithin(ctx, f.answerLimit(time.Duration(a.connect.timeout)))
	err := look(lctx)
	cancel()
	if mustWait(err) && !f.once() {
		a.log.mute(false)
		err = wait(wctx)
	}
	return f.refused(err)
}
