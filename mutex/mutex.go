package mutex

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Mutex names a lock. It is immutable and safe for concurrent use; making one does no I/O.
type Mutex struct {
	line line.Line
	err  error // of options that cannot be used
}

// New names the lock that all sessions share under name. A name that cannot be used is reported by the first call.
func New(s *session.Session, name string, opts *Options) *Mutex {
	m := &Mutex{line: line.Line{Session: core.Of(s), Name: name, Kind: "mutex", Rule: admit, Slash: true}}
	if opts != nil {
		m.line.Delay = opts.LockDelay
	}
	return m
}

// Lock is a held lock, exclusive or shared. See [session.Hold] for what it offers.
type Lock struct {
	hold *core.Hold
	grip *core.Releaser
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
// except for [Options].LockDelay.
//
// TryLock does not make a job run once: a process that starts after the holder has unlocked finds the lock free again.
// Write down under the lock that the job is done, and look for that first.
func (m *Mutex) TryLock(ctx context.Context) (*Lock, error) {
	return m.lock(ctx, "try lock", m.line.Try, exclusive)
}

type joining func(context.Context, line.Join) (line.Hold, error)

func (m *Mutex) lock(ctx context.Context, verb string, join joining, mode string) (*Lock, error) {
	if m.err != nil {
		return nil, m.wrap(verb, m.err)
	}
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

func (m *Mutex) wrap(verb string, err error) error {
	return fmt.Errorf("mutex: %s %q: %w", verb, m.line.Name, err)
}
