package mutex

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Do runs fn under the lock. The context of fn ends with ctx, and with the lock. Do returns the
// error of fn joined with the error of the lock: [session.ErrLost] when the lock was lost before it
// was unlocked, although fn may have finished. fn may unlock the lock itself.
//
// If fn panics or ends its goroutine, as [runtime.Goexit] does, the lock is unlocked, and Do does
// not recover.
func (m *Mutex) Do(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return do(ctx, m.Lock, fn)
}

// Do runs fn under the lock for writing, see [Mutex.Do].
func (rw *RWMutex) Do(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return do(ctx, rw.Lock, fn)
}

// RDo runs fn under the lock for reading, see [Mutex.Do].
func (rw *RWMutex) RDo(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) error {
	return do(ctx, rw.RLock, fn)
}

func do(
	ctx context.Context, acquire func(context.Context) (*Lock, error),
	fn func(context.Context, *Lock) error,
) (err error) {
	lock, err := acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.Finish(ctx, lock.grip, lock.Unlock)) }()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(lock.Context(), func() { //nolint:contextcheck // the lock's own life
		if err := lock.Err(); !errors.Is(err, session.ErrReleased) { // fn may unlock with run
			cancel(err)
		}
	})()
	return fn(run, lock)
}
