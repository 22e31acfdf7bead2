package holdfastgoose

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// Locker is a Locker and a SessionLocker of goose's package lock. It does not use the database.
type Locker struct {
	m *mutex.Mutex

	mu   sync.Mutex
	lock *mutex.Lock // held, or with an Unlock that has failed
}

// New returns a locker with the lock that all programs share under name.
func New(s *session.Session, name string, opts *mutex.Options) *Locker {
	return &Locker{m: mutex.New(s, name, opts)}
}

// Lock waits until the lock is granted, or ctx ends.
func (l *Locker) Lock(ctx context.Context, _ *sql.DB) error { return l.acquire(ctx) }

// Unlock releases the lock. It returns [session.ErrNotHeld] when the lock was lost before.
func (l *Locker) Unlock(ctx context.Context, _ *sql.DB) error { return l.release(ctx) }

// SessionLock is Lock.
func (l *Locker) SessionLock(ctx context.Context, _ *sql.Conn) error { return l.acquire(ctx) }

// SessionUnlock is Unlock.
func (l *Locker) SessionUnlock(ctx context.Context, _ *sql.Conn) error { return l.release(ctx) }

func (l *Locker) acquire(ctx context.Context) error {
	lock, err := l.m.Lock(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lock = lock
	return nil
}

func (l *Locker) release(ctx context.Context) error {
	l.mu.Lock()
	lock := l.lock
	l.lock = nil
	l.mu.Unlock()
	if lock == nil {
		return session.ErrNotHeld
	}
	err := lock.Unlock(ctx)
	if err != nil && !errors.Is(err, session.ErrNotHeld) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.lock == nil { // else it was granted to another caller
			l.lock = lock
		}
	}
	return err
}
