package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
)

// waitFlags say how long to wait for what somebody else has.
type waitFlags struct {
	noWait bool
	wait   duration
	given  func() bool // whether wait was typed; nil where it cannot be
	code   int
	began  time.Time // when wait began, which includes the way to etcd
}

func (f *waitFlags) add(cmd *cobra.Command, noWait bool) {
	fs := cmd.Flags()
	if noWait {
		fs.BoolVarP(&f.noWait, "no-wait", "n", false, "do not wait")
	}
	fs.VarP(&f.wait, "wait", "w", "wait this long at most; 0 is to try once (default without end)")
	fs.IntVarP(&f.code, "conflict-exit-code", "E", codeNo, "exit with this status if the wait was in vain")
	f.given = func() bool { return fs.Changed("wait") }
}

func (f *waitFlags) bounded() bool { return f.given != nil && f.given() }

// once tells whether not to wait: -w 0 means what -n does, as it does for flock.
func (f *waitFlags) once() bool { return f.noWait || f.bounded() && f.wait == 0 }

// check refuses what cannot be meant, and begins the wait.
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

// leastReach is how long etcd may take to answer however short the wait for others is: what is free would else be missed.
const leastReach = time.Second

// reach is how long etcd may take to answer, where timeout is --command-timeout.
func (f *waitFlags) reach(timeout time.Duration) time.Duration {
	if f.once() || !f.bounded() {
		return timeout
	}
	return min(timeout, max(time.Duration(f.wait), leastReach))
}

// context is ctx for as long as it is to be waited.
func (f *waitFlags) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if !f.bounded() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, f.began.Add(time.Duration(f.wait)), errNotInTime)
}

// attempt is a verb of a recipe that waits, beside the one that does not.
type attempt[T any] struct {
	try, wait func(context.Context) (T, error)
	taken     error         // of a try that found that it would have to wait
	delay     time.Duration // a lock delay, for which a try waits as well
}

// get tries before it waits, where the wait is bounded: a wait that ends before etcd has answered would not find what is
// free.
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

// refused gives the error of what was not acquired the status that was asked for. others are further errors that say so.
func (f *waitFlags) refused(err error, others ...error) error {
	for _, other := range append(others, errNotInTime) {
		if errors.Is(err, other) {
			return &exitError{f.code, err}
		}
	}
	return err
}
