package shard

import (
	"context"
	"errors"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
)

// Run joins a group whose members divide n shards, and calls fn in a goroutine of its own for each
// shard that this member holds. It goes on with other sessions after each loss. All members must
// have the same n.
//
// The context of fn ends when the shard moves to another member, with the cause [ErrMoved], when
// the shard is paused or lost, and at the end of Run. The next owner starts after fn has returned,
// so fn must return soon then; until then the shard is held, unless it was lost. If fn returns nil
// earlier, the member keeps the shard and runs nothing for it. If fn returns an error or ends its
// goroutine while its context lives, Run ends with an error.
//
// When ctx ends, Run hands the shards over one after the other, leaves the group and returns ctx's
// error. It returns [ErrMismatch] when the group has another n, and the errors of [member.Run],
// such as [member.ErrTaken]. If fn panics, the program ends, because nothing recovers in its
// goroutine.
func Run(
	ctx context.Context, c *gateway.Client, group string, n int,
	fn func(ctx context.Context, s *Shard) error, opts *Options,
) error {
	r := &runner{client: c, group: group, n: n, fn: fn}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.DrainTimeout == 0 {
		r.opts.DrainTimeout = DefaultDrainTimeout
	}
	if err := r.opts.check(n); err != nil {
		return wrap("run", group, err)
	}
	return wrap("run", group, r.run(ctx))
}

// runner is a call of [Run].
type runner struct {
	client *gateway.Client
	group  string
	n      int
	fn     func(context.Context, *Shard) error
	opts   Options

	id      string        // of the member
	session *core.Session // of now

	quit context.CancelCauseFunc // begins the end of the run

	mu     sync.Mutex
	active bool // there is a session, which ends the run when it has drained the member
}

func (r *runner) run(ctx context.Context) error {
	running, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	r.quit = quit
	life, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx by the drain
	defer stop()
	defer context.AfterFunc(running, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.active {
			stop() // there is nothing to hand over
		}
	})()
	err := member.Run(life, r.client, r.group, &r.opts.Member,
		func(life context.Context, s *session.Session, m *member.Membership) error {
			r.id, r.session = m.ID(), core.Of(s)
			if !r.setActive(true, running) {
				r.during(life, running, m)
			}
			if r.setActive(false, running) {
				return nil
			}
			return context.Cause(life)
		})
	switch cause := context.Cause(running); {
	case running.Err() == nil:
		return err
	case ctx.Err() != nil && errors.Is(cause, context.Cause(ctx)):
		return ctxerr.Of(ctx)
	default:
		return cause
	}
}

// setActive returns whether the end of the run has begun.
func (r *runner) setActive(active bool, running context.Context) (ending bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = active
	return running.Err() != nil
}

// during holds the shards of the member during a session, and drains it when the end of the run
// has begun.
func (r *runner) during(life, running context.Context, m *member.Membership) {
	ctx, stop := context.WithCancel(life)
	defer stop()
	d := newDuty(r)
	var all sync.WaitGroup
	for _, part := range []func(context.Context) error{r.lead, d.follow, d.reportLoads} {
		all.Go(func() {
			if err := part(ctx); err != nil {
				r.quit(err)
			}
		})
	}
	select {
	case <-running.Done():
		r.drain(ctx, m, d)
	case <-ctx.Done():
	}
	stop()
	all.Wait()
	d.shards.Wait()
}

// drain waits until the other members have all shards.
func (r *runner) drain(ctx context.Context, m *member.Membership, d *duty) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.DrainTimeout)
	defer cancel()
	if m.SetWeight(ctx, 0) != nil {
		return
	}
	select {
	case <-d.over():
	case <-ctx.Done():
	}
}

// follow takes and gives up shards as the assignment says. It returns nil when ctx ends, and an
// error that ends the run.
func (d *duty) follow(ctx context.Context) error {
	for again := (line.Again{}); ; {
		err := d.followOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrMismatch):
			return err
		}
		if again.Wait(ctx) != nil { // the right to read the key, for example, may be back later
			return nil
		}
	}
}

func (d *duty) followOnce(ctx context.Context) error {
	for t, err := range followTable(ctx, d.client, d.group) {
		if err == nil {
			err = t.checkN(d.n)
		}
		if err != nil {
			return err
		}
		d.set(ctx, t)
	}
	return nil
}
