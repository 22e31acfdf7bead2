package mutex

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Mutex names a lock. It is immutable and safe for concurrent use; making one does no I/O.
type Mutex struct {
	line line.Line
}

// New names the lock that all sessions share under name. A name that cannot be used is reported by the first call.
func New(s *session.Session, name string) *Mutex {
	return &Mutex{line.Line{Session: s, Name: name, Kind: "mutex", Rule: admit, Slash: true}}
}

// WithDelay gives the same lock with a lock delay: after a holder that did not unlock, a dead or lost one, the next waits
// this long from the moment it saw the lock become free. With a delay of at least the time to live of all sessions, two
// holders do not overlap even where etcd takes a lease away too early. All users of the lock must set the same; those of
// [LockAll] and [RWMutex] cannot. While etcd's database is full, a waiter whose turn has come waits until there is space.
func (m *Mutex) WithDelay(d time.Duration) *Mutex {
	c := *m
	c.line.Delay = d
	return &c
}

// Lock is a held lock, exclusive or shared. See [session.Hold] for what it offers.
type Lock struct {
	*session.Hold
	grip *session.Releaser
	line *line.Line
}

// ErrLocked is the error of a [Mutex.TryLock] that found the lock held. The error is a [*LockedError].
var ErrLocked = errors.New("locked")

// LockedError tells who holds a lock.
type LockedError struct {
	Name  string
	Key   string          // the holder's key
	Lease gateway.LeaseID // of the holder's session
	Fence int64
}

// Error names the lock and the holder's key.
func (e *LockedError) Error() string {
	return fmt.Sprintf("mutex: lock %q: locked by %s", e.Name, e.Key)
}

// Is matches ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Lock waits until the lock is granted. If it fails, because ctx ended or the session was lost, the caller does not hold
// the lock and never will from this call.
func (m *Mutex) Lock(ctx context.Context) (*Lock, error) {
	return m.lock(ctx, "lock", m.line.Enter, exclusive)
}

// TryLock takes the lock if nobody holds it or waits for it, and is ErrLocked otherwise. It never waits for the lock,
// save for a delay that is set (see [Mutex.WithDelay]).
//
// TryLock does not make a job run once: a process that starts after the holder has unlocked finds the lock free again.
// Write down under the lock that the job is done, and look for that first.
func (m *Mutex) TryLock(ctx context.Context) (*Lock, error) {
	return m.lock(ctx, "try lock", m.line.Try, exclusive)
}

type joining func(context.Context, line.Join) (line.Hold, error)

func (m *Mutex) lock(ctx context.Context, verb string, join joining, mode string) (*Lock, error) {
	h, err := join(ctx, line.Join{Value: mode, Exclusive: mode == exclusive})
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		first := occupied.View.Members[0]
		return nil, &LockedError{m.line.Name, first.Key, first.Lease(), first.Fence}
	}
	if err != nil {
		return nil, m.wrap(verb, err)
	}
	return &Lock{h.Hold, h.Grip, &m.line}, nil
}

// Unlock gives the lock back: its context ends at once, the next waiter is granted it with one round trip. It is
// [session.ErrNotHeld] if the lock was lost or unlocked before. If ctx ends first Unlock returns
// [gateway.ErrUncertain] and the context's error, and the session goes on with it; another Unlock waits for that. If ctx
// has ended before the call, Unlock has 1 s of its own. After any other error, a refusal, the key is still there and keeps
// others out, as long as the session: call Unlock again.
func (l *Lock) Unlock(ctx context.Context) error {
	if err := l.grip.Release(ctx); err != nil {
		return fmt.Errorf("mutex: unlock %q: %w", l.line.Name, err)
	}
	return nil
}

// Do runs fn under the lock. The context of fn ends with ctx, and with the lock. Do returns fn's error joined with what
// went wrong with the lock: [session.ErrLost] if it was lost before it was given back, although fn may have finished.
//
// If fn panics or ends its goroutine, as [runtime.Goexit] does, the lock is released all the same. Do does not recover.
func (m *Mutex) Do(ctx context.Context, fn func(ctx context.Context, lock *Lock) error) (err error) {
	lock, err := m.Lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.Finish(ctx, lock.grip, lock.Unlock)) }()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(lock.Context(), func() { //nolint:contextcheck // it passes on how the lock ended
		if err := lock.Err(); !errors.Is(err, session.ErrReleased) { // fn may unlock, and needs a context for it
			cancel(err)
		}
	})()
	return fn(run, lock)
}

func (m *Mutex) wrap(verb string, err error) error {
	return fmt.Errorf("mutex: %s %q: %w", verb, m.line.Name, err)
}
