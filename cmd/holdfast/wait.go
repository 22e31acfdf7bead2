package main

import (
	"context"
	"errors"
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

// leastReach is the least time that etcd has to answer, however short the wait for others is.
// Otherwise a short wait would miss a lock that is free.
const leastReach = time.Second

// reach returns how long etcd may take to answer. timeout is --command-timeout.
func (f *waitFlags) reach(timeout time.Duration) time.Duration {
	if f.once() || !f.bounded() {
		return timeout
	}
	return min(timeout, max(time.Duration(f.wait), leastReach))
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
	taken     error         // the error of a try that would have to wait
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
	v, err := t.tryFor(ctx, f, f.reach(time.Duration(a.connect.timeout)))
	if err == nil || f.once() || !errors.Is(err, t.taken) {
		return v, err
	}
	return t.wait(wctx)
}

func (t attempt[T]) tryFor(ctx context.Context, f *waitFlags, reach time.Duration) (T, error) {
	switch {
	case t.delay == 0:
		tctx, cancel := within(ctx, reach)
		defer cancel()
		return t.try(tctx)
	case f.bounded():
		tctx, cancel := context.WithTimeoutCause(ctx, reach, errNotInTime)
		defer cancel()
		return t.try(tctx)
	}
	return t.try(ctx)
}

// refused replaces the exit status of a failed acquisition by the value of -E. others are further
// errors that report one.
func (f *waitFlags) refused(err error, others ...error) error {
	for _, other := range append(others, errNotInTime) {
		if errors.Is(err, other) {
			return &exitError{f.code, err}
		}
	}
	return err
}
