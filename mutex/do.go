package mutex

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Run runs fn under the lock, with sessions of its own. Each time the lock is lost before fn has
// returned and the lock is unlocked, Run ignores the result of fn and acquires the lock again, with
// a new session if necessary. Otherwise it returns the result of fn, also an error. See
// [session.Hold] for the context of fn, and [session.Run] for the errors that end Run. With a lock
// delay, or for readers, call the method Run in a session.Run.
func Run(
	ctx context.Context, c *gateway.Client, opts *session.Options, name string,
	fn func(ctx context.Context, lock *Lock) error,
) error {
	return session.Run(ctx, c, opts, func(ctx context.Context, s *session.Session) error {
		return New(s, name, nil).Run(ctx, fn)
	})
}

// Do acquires the lock as [Mutex.Lock] does, runs fn, and unlocks the lock, see [session.Hold]. fn
// may unlock the lock itself.
func (m *Mutex) Do(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return verbs(m.Lock).Do(ctx, fn)
}

// Run is [Mutex.Do], repeated each time another client deletes the lock's key while the session
// lives, as [Mutex.Break] does, or the lock is overdue. It returns [session.ErrLost] when the
// session is lost.
func (m *Mutex) Run(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return verbs(m.Lock).Run(ctx, fn)
}

// Do runs fn under the lock for writing, see [Mutex.Do].
func (rw *RWMutex) Do(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return verbs(rw.Lock).Do(ctx, fn)
}

// RDo runs fn under the lock for reading, see [Mutex.Do].
func (rw *RWMutex) RDo(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return verbs(rw.RLock).Do(ctx, fn)
}

// Run runs fn under the lock for writing, see [Mutex.Run].
func (rw *RWMutex) Run(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return verbs(rw.Lock).Run(ctx, fn)
}

// RRun runs fn under the lock for reading, see [Mutex.Run].
func (rw *RWMutex) RRun(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return verbs(rw.RLock).Run(ctx, fn)
}

func verbs(acquire func(context.Context) (*Lock, error)) line.Verbs[*Lock] {
	return line.Verbs[*Lock]{
		Acquire: acquire, Release: (*Lock).Unlock, Hold: func(l *Lock) line.Hold { return l.hold },
	}
}
