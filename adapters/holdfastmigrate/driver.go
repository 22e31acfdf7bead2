package holdfastmigrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// DefaultTimeout is the default of [Options.Timeout]. It is shorter than the LockTimeout of
// golang-migrate, which would leave a lock that is granted later.
const DefaultTimeout = 10 * time.Second

// Options configure a driver. nil means the zero value.
type Options struct {
	// Timeout is the longest time of a Lock. It must be shorter than the LockTimeout of the
	// migration. Default 10 s.
	Timeout time.Duration
}

type driver struct {
	database.Driver
	m       *mutex.Mutex
	timeout time.Duration

	mu   sync.Mutex
	lock *mutex.Lock // from Lock to Unlock
}

// WithLock returns a driver that locks with the lock that all programs share under name.
func WithLock(
	d database.Driver, s *session.Session, name string, opts *Options,
) database.Driver {
	out := &driver{Driver: d, m: mutex.New(s, name, nil), timeout: DefaultTimeout}
	if opts != nil && opts.Timeout != 0 {
		out.timeout = opts.Timeout
	}
	return out
}

// Open opens the database of the wrapped driver, with the same lock.
func (d *driver) Open(url string) (database.Driver, error) {
	opened, err := d.Driver.Open(url)
	if err != nil {
		return nil, err
	}
	return &driver{Driver: opened, m: d.m, timeout: d.timeout}, nil
}

// Lock acquires the lock, and then the one of the database.
func (d *driver) Lock() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	defer cancel()
	lock, err := d.m.Lock(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", database.ErrLocked, err)
	case err != nil:
		return err
	}
	if err := d.Driver.Lock(); err != nil {
		return errors.Join(err, d.unlock(lock))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lock = lock
	return nil
}

// Unlock releases the lock of the database, and then the other one.
func (d *driver) Unlock() error {
	d.mu.Lock()
	lock := d.lock
	d.lock = nil
	d.mu.Unlock()
	if lock == nil {
		return session.ErrNotHeld
	}
	return errors.Join(d.Driver.Unlock(), d.unlock(lock))
}

func (d *driver) unlock(lock *mutex.Lock) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	defer cancel()
	return lock.Unlock(ctx)
}

// lost returns an error when the lock was lost. Without a Lock it returns nil, as the contract of
// drivers demands.
func (d *driver) lost() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	if err := d.lock.Err(); err != nil {
		return fmt.Errorf("%w: %w", session.ErrNotHeld, err)
	}
	return nil
}

// Run runs a migration, unless the lock was lost.
func (d *driver) Run(migration io.Reader) error {
	if err := d.lost(); err != nil {
		return err
	}
	return d.Driver.Run(migration)
}

// SetVersion saves the version. After the lock was lost it saves only that a migration has ended,
// because that one has run.
func (d *driver) SetVersion(version int, dirty bool) error {
	if err := d.lost(); err != nil && dirty {
		return err
	}
	return d.Driver.SetVersion(version, dirty)
}

// Drop deletes everything in the database, unless the lock was lost.
func (d *driver) Drop() error {
	if err := d.lost(); err != nil {
		return err
	}
	return d.Driver.Drop()
}
