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

// New names the lock that all sessions share under name. Calls return [gateway.ErrInvalid] if the
// name cannot be used.
func New(s *session.Session, name string, opts *Options) *Mutex {
	m := &Mutex{line: line.Line{
		Session: core.Of(s), Name: name, Kind: "mutex", Rule: admit, Slash: true,
	}}
	if opts != nil {
		m.line.Delay = opts.LockDelay
	}
	return m
}

// Lock is a held lock, exclusive or shared. See [session.Hold] for its context, fence and guard.
// It is safe for concurrent use.
type Lock struct {
	hold *core.Hold
	grip *core.Releaser
	line *line.Line
}

// ErrLocked is matched by the [*LockedError] that [Mutex.TryLock], [RWMutex.TryLock] and
// [RWMutex.TryRLock] return.
var ErrLocked = errors.New("locked")

// LockedError names the holder that was in the way.
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

// Lock waits until the lock is granted. It returns the context's error when ctx ends first, and
// [session.ErrLost] when the session ends or the waiter's key is deleted. After an error the caller
// does not hold the lock and never will from this call.
func (m *Mutex) Lock(ctx context.Context) (*Lock, error) {
	return m.lock(ctx, "lock", m.line.Enter, exclusive)
}

// TryLock acquires the lock if no other member holds it or waits for it, and returns [ErrLocked]
// otherwise. It never waits for the lock, except for a lock delay (see [Options]). Other
// errors are as for [Mutex.Lock].
//
// TryLock does not make a job run once: a process that starts after the holder has unlocked finds
// the lock free again. Record under the lock that the job is done, and check the record first.
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
		first := occupied.Snapshot.Members[0]
		return nil, &LockedError{m.line.Name, first.Key, first.Lease(), first.Fence}
	}
	if err != nil {
		return nil, m.wrap(verb, err)
	}
	return &Lock{h.Hold, h.Grip, &m.line}, nil
}

// Unlock releases the lock. The lock's context ends at once, and the next waiter acquires the lock
// after one round trip. Unlock returns [session.ErrNotHeld] when the lock was lost or unlocked
// before. If ctx ends first it returns [gateway.ErrUncertain] and the context's error, and the
// session continues the release in the background; another Unlock waits for that. If ctx had ended
// before the call, Unlock has 1 s of its own. After any other error (etcd rejected the request) the
// key keeps others out until the session ends: call Unlock again.
func (l *Lock) Unlock(ctx context.Context) error {
	if err := l.grip.Release(ctx); err != nil {
		return fmt.Errorf("mutex: unlock %q: %w", l.line.Name, err)
	}
	return nil
}

func (m *Mutex) wrap(verb string, err error) error {
	return fmt.Errorf("mutex: %s %q: %w", verb, m.line.Name, err)
}
