package election

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Run campaigns and calls fn when elected. If the leadership is lost it campaigns again, with a new
// session if necessary, and ignores the result of fn. If fn returns while it leads, Run resigns and
// returns the result of fn, also an error: to campaign again then, call Run in a loop, as
// examples/service does. The context of fn ends when ctx or the term does. fn must return then,
// because Run waits for it before it resigns or campaigns again. Run also ends the term if fn
// panics or ends its goroutine, as [runtime.Goexit] does. It does not recover.
//
// While etcd cannot be reached Run keeps trying. It returns errors that another try cannot change,
// such as wrong credentials, and the context's error when ctx ends. With a delay it is written as
//
//	session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
//		return election.New(s, name, &election.Options{LockDelay: d}).Run(ctx, value, fn)
//	})
func Run(
	ctx context.Context, c *gateway.Client, opts *session.Options, name, value string,
	fn func(ctx context.Context, term *Term) error,
) error {
	return session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
		return New(s, name, nil).Run(ctx, value, fn)
	})
}

// Run is [Run] with the election's own session: when that is lost, it returns [session.ErrLost]
// after fn has returned.
func (e *Election) Run(
	ctx context.Context, value string, fn func(ctx context.Context, term *Term) error,
) error {
	for again := (line.Again{}); ; {
		removed, err := e.lead(ctx, value, fn)
		if !removed || ctx.Err() != nil || again.Wait(ctx) != nil {
			return err
		}
	}
}

// lead runs fn for one term. removed means that the term's key was deleted while the session lives,
// which may then campaign again.
func (e *Election) lead(
	ctx context.Context, value string, fn func(ctx context.Context, term *Term) error,
) (removed bool, err error) {
	term, err := e.Campaign(ctx, value)
	if err != nil {
		return errors.Is(err, session.ErrKeyDeleted), err
	}
	defer func() {
		if errors.Is(term.Err(), session.ErrReleased) { // fn has resigned itself, or was refused
			line.Hold{Grip: term.grip}.Abandon(ctx)
			return
		}
		resign := line.Finish(ctx, term.grip, term.Resign)
		removed, err = errors.Is(resign, session.ErrKeyDeleted), errors.Join(err, resign)
	}()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(term.Context(), func() { //nolint:contextcheck // the term's own life
		cancel(context.Cause(term.Context()))
	})()
	return false, fn(run, term)
}
