package semaphore

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Run runs fn under a permit of weight n, with sessions of its own. Each time the permit is lost
// before fn has returned and the permit is released, Run ignores the result of fn and acquires
// another, with a new session if necessary. Otherwise it returns the result of fn, also an error.
// See [session.Hold] for the context of fn, and [session.Run] for the errors that end Run.
func Run(
	ctx context.Context, c *gateway.Client, opts *session.Options, name string, limit, n int,
	fn func(ctx context.Context, permit *Permit) error,
) error {
	return session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
		return New(s, name, limit, nil).Run(ctx, n, fn)
	})
}

// Do acquires a permit of weight n as [Semaphore.Acquire] does, runs fn, and releases the permit,
// see [session.Hold]. fn may release the permit itself.
func (m *Semaphore) Do(
	ctx context.Context, n int, fn func(ctx context.Context, permit *Permit) error,
) error {
	return m.verbs(n).Do(ctx, fn)
}

// Run is [Semaphore.Do], repeated each time another client deletes the permit's key while the
// session lives, as [Semaphore.Break] does, or the permit is overdue. It returns [session.ErrLost]
// when the session is lost.
func (m *Semaphore) Run(
	ctx context.Context, n int, fn func(ctx context.Context, permit *Permit) error,
) error {
	return m.verbs(n).Run(ctx, fn)
}

func (m *Semaphore) verbs(n int) line.Verbs[*Permit] {
	return line.Verbs[*Permit]{
		Acquire: func(ctx context.Context) (*Permit, error) { return m.Acquire(ctx, n) },
		Release: (*Permit).Release, Hold: func(p *Permit) line.Hold { return p.hold },
	}
}
