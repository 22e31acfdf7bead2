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

	mu sync.Mutex
	// By the database or connection of the provider, because a provider that has lost its lock must
	// not release the lock of the next one. A lock is held, or its Unlock has failed.
	locks map[any]*mutex.Lock
}

// New returns a locker with the lock that all programs share under name.
func New(s *session.Session, name string, opts *mutex.Options) *Locker {
	return &Locker{m: mutex.New(s, name, opts), locks: map[any]*mutex.Lock{}}
}

// Lock waits until the lock is granted, or ctx ends.
func (l *Locker) Lock(ctx context.Context, db *sql.DB) error { return l.acquire(ctx, db) }

// Unlock releases the lock. It returns [session.ErrNotHeld] when the lock was lost before.
func (l *Locker) Unlock(ctx context.Context, db *sql.DB) error { return l.release(ctx, db) }

// SessionLock is Lock.
func (l *Locker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	return l.acquire(ctx, conn)
}

// SessionUnlock is Unlock.
func (l *Locker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	return l.release(ctx, conn)
}

func (l *Locker) acquire(ctx context.Context, of any) error {
	lock, err := l.m.Lock(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.locks[of] = lock
	return nil
}

func (l *Locker) release(ctx context.Context, of any) error {
	l.mu.Lock()
	lock := l.locks[of]
	delete(l.locks, of)
	l.mu.Unlock()
	if lock == nil {
		return session.ErrNotHeld
	}
	err := lock.Unlock(ctx)
	if err != nil && !errors.Is(err, session.ErrNotHeld) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.locks[of] == nil { // else it was granted to another caller
			l.locks[of] = lock
		}
	}
	return err
}
