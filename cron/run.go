package cron

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Run runs fn for each tick that this replica starts, until ctx ends. Of the replicas that call
// Run, the one that has waited longest starts the ticks, until it ends or one of its attempts
// fails. A tick ends when fn returns nil. When fn returns an error, another replica makes the next
// attempt.
//
// The context of fn ends with ctx, with [Options.Timeout], and when the tick is lost. fn must
// return then, because this replica starts no other tick before. If fn panics or ends its
// goroutine, the attempt has failed, and Run does not recover.
//
// Run goes on while etcd cannot be reached or its database is full, and after a loss of its
// session. Returns the error of ctx when ctx ends, [ErrScheduleMismatch], and errors that another
// try cannot change, such as wrong credentials.
func (c *Cron) Run(
	ctx context.Context, client *gateway.Client, fn func(ctx context.Context, tick *Tick) error,
) error {
	err := c.check()
	if err == nil {
		err = session.Run(ctx, client, c.opt.Session,
			func(ctx context.Context, s *session.Session) error {
				return c.runIn(ctx, core.Of(s), fn)
			})
	}
	return c.wrap("run", err)
}

func (c *Cron) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cron: %s %q: %w", verb, c.name, err)
}

type function = func(context.Context, *Tick) error

// rejoinPause is the pause before a replica joins again after an error that may pass.
const rejoinPause = time.Second

// runIn joins the line of the name again and again, until ctx or the session ends. ctx ends with
// the session.
func (c *Cron) runIn(ctx context.Context, s *core.Session, fn function) error {
	for {
		err := c.serve(ctx, s, fn)
		switch {
		case s.Err() != nil:
			return errors.Join(s.Err(), err)
		case ctx.Err() != nil:
			return ctxerr.Of(ctx)
		case err == nil: // an attempt has failed
			continue
		case !passes(err):
			return err
		}
		if err := sleep(ctx, rejoinPause); err != nil {
			return err
		}
	}
}

// passes reports whether a replica joins again after an error.
func passes(err error) bool {
	return errors.Is(err, core.ErrKeyDeleted) || errors.Is(err, core.ErrNotHeld) ||
		errors.Is(err, gateway.ErrUnavailable) || errors.Is(err, gateway.ErrNoSpace) ||
		errors.Is(err, gateway.ErrUncertain)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// serve waits for its turn in the line, and starts ticks until an attempt fails.
func (c *Cron) serve(ctx context.Context, s *core.Session, fn function) (err error) {
	l := &line.Line{
		Session: s, Name: c.name, Kind: "cron", Rule: line.Exclusive,
	}
	h, err := l.Enter(ctx, line.Join{Value: c.spec, Abort: c.mismatch, Standby: true})
	if err != nil {
		return err
	}
	defer func() {
		if h.Grip.Released() { // by an attempt that has overrun its Timeout
			h.Abandon(ctx)
			return
		}
		err = errors.Join(err, line.GiveBack(ctx, h.Grip, h.Grip.Release))
	}()
	during, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.Context(), func() { //nolint:contextcheck // the hold's own life
		if !h.Grip.Released() {
			cancel(h.Err())
		}
	})()
	copied, stop := follow(during, l)
	defer stop()
	r := &runner{Cron: c, line: l, place: h, copied: copied, fn: fn}
	return r.run(during)
}

// mismatch returns an error if a member ahead has another schedule. Only the members ahead count,
// so that one of two replicas goes on.
func (c *Cron) mismatch(v line.Snapshot, me line.Member) error {
	for _, m := range v.Members {
		if m.Fence < me.Fence && m.Value != c.spec {
			return fmt.Errorf("%w: this one has %q, and the one under %s has %q",
				ErrScheduleMismatch, c.spec, m.Key, m.Value)
		}
	}
	return nil
}
