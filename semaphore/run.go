package semaphore

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Run runs fn under a permit of weight n, with sessions of its own. Each time the permit is lost
// before fn has returned and the permit is released, Run ignores the result of fn and acquires a
// permit again, with a new session if the session was lost too. Otherwise it returns the result of
// fn, also an error. The context of fn is as with [Semaphore.Do]; fn must return when it ends,
// because Run waits for it.
//
// While etcd cannot be reached Run keeps trying. It returns errors that another try cannot change,
// such as wrong credentials, and the context's error when ctx ends.
func Run(
	ctx context.Context, c *gateway.Client, opts *session.Options, name string, limit, n int,
	fn func(ctx context.Context, permit *Permit) error,
) error {
	return session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
		return New(s, name, limit).Run(ctx, n, fn)
	})
}

// Do acquires a permit of weight n as [Semaphore.Acquire] does, runs fn, and releases the permit.
// The context of fn ends with ctx, and when the permit is lost. fn may release the permit itself.
// Do returns the error of Acquire, or the error of fn joined with the error of the permit:
// [session.ErrLost] when the permit was lost before it was released, although fn may have finished.
//
// If fn panics or ends its goroutine, as [runtime.Goexit] does, the permit is released, and Do does
// not recover.
func (m *Semaphore) Do(
	ctx context.Context, n int, fn func(ctx context.Context, permit *Permit) error,
) error {
	return m.verbs(n).Do(ctx, fn)
}

// Run is [Semaphore.Do], repeated each time another client deletes the permit's key while the
// session lives, as [Semaphore.Break] does. It returns [session.ErrLost] when the session is lost.
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
