package election

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Run campaigns and calls fn when elected, again with a new session each time the leadership was lost, until fn returns
// while it leads; it returns what fn returned. ctx of fn ends with ctx, and with the term. fn must then return: Run waits
// for it before it resigns, or campaigns anew. After a loss it does not matter what fn returns. An error of fn while it
// leads ends Run: to stand again, call Run in a loop, as examples/service does.
// If fn panics or ends its goroutine, as [runtime.Goexit] does, the term ends all the same. Run does not recover.
//
// While etcd cannot be reached Run keeps trying; it gives up on what trying cannot cure, such as wrong credentials, and
// when ctx ends. With a delay it is written as
//
//	session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
//		return election.New(s, name, &election.Options{LockDelay: d}).Run(ctx, value, fn)
//	})
func Run(ctx context.Context, c *gateway.Client, opts *session.Options, name, value string, fn func(ctx context.Context, term *Term) error) error {
	return session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
		return New(s, name, nil).Run(ctx, value, fn)
	})
}

// Run is [Run] with the election's own session: if that is lost, it returns [session.ErrLost] after fn has returned.
func (e *Election) Run(ctx context.Context, value string, fn func(ctx context.Context, term *Term) error) error {
	for again := (line.Again{}); ; {
		removed, err := e.lead(ctx, value, fn)
		if !removed || ctx.Err() != nil || again.Wait(ctx) != nil {
			return err
		}
	}
}

// lead is one term. removed says that somebody took it away though the session lives; the session then may campaign again.
func (e *Election) lead(ctx context.Context, value string, fn func(ctx context.Context, term *Term) error) (removed bool, err error) {
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
	defer context.AfterFunc(term.Context(), func() { cancel(context.Cause(term.Context())) })() //nolint:contextcheck // it only reads why the term ended
	return false, fn(run, term)
}
