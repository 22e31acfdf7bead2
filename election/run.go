package election

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Run campaigns and runs fn when elected, with sessions of its own. Each time the leadership is
// lost before fn has returned and Run has resigned, Run ignores the result of fn and campaigns
// again, with a new session if necessary. Otherwise it returns the result of fn, also an error: to
// campaign again then, call Run in a loop, as examples/service does. See [session.Hold] for the
// context of fn, and [session.Run] for the errors that end Run. With a delay it is written as
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

// Do campaigns as [Election.Campaign] does, runs fn, and resigns, see [session.Hold]. The context
// of fn also ends by a [Term.Resign] or [Term.TransferTo] while fn runs.
func (e *Election) Do(
	ctx context.Context, value string, fn func(ctx context.Context, term *Term) error,
) error {
	return e.verbs(value).Do(ctx, e.preemptible(fn))
}

// Run is [Election.Do], repeated each time another client deletes the term's key while the session
// lives, as [Election.Break] does, or the term is overdue or pre-empted. It returns
// [session.ErrLost] when the session is lost.
func (e *Election) Run(
	ctx context.Context, value string, fn func(ctx context.Context, term *Term) error,
) error {
	return e.verbs(value).Run(ctx, e.preemptible(fn))
}

func (e *Election) verbs(value string) line.Verbs[*Term] {
	return line.Verbs[*Term]{
		Acquire: func(ctx context.Context) (*Term, error) { return e.Campaign(ctx, value) },
		Release: (*Term).finish, Hold: func(t *Term) line.Hold { return t.hold },
		UntilReleased: true, Repeat: func(t *Term) bool { return t.higher != nil },
	}
}
