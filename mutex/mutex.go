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

// Mutex names a lock. It is immutable, and making one does no I/O.
type Mutex struct {
	line       line.Line
	detachable bool
	cached     bool
	err        error // of options that cannot be used
}

// New names the lock that all sessions share under name.
func New(s *session.Session, name string, opts *Options) *Mutex {
	m := &Mutex{line: line.Line{
		Session: core.Of(s), Name: name, Kind: "mutex", Rule: admit, Slash: true, EarlyGrant: true,
	}}
	if opts != nil {
		m.line.Delay, m.line.MaxHold = opts.LockDelay, opts.MaxHold
		m.detachable, m.cached, m.line.Defer = opts.Detachable, opts.Cache, opts.DeferUnlock
		m.err = opts.check()
	}
	return m
}

// Lock is a held lock, exclusive or shared. [session.Hold] documents its methods.
type Lock struct {
	hold       line.Hold
	line       *line.Line
	detachable bool
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
	// Cached: the holder has [Options.Cache], so it may have unlocked. A Lock gets the lock then.
	Cached bool
}

// Error names the lock and the holder's key.
func (e *LockedError) Error() string {
	return fmt.Sprintf("mutex: lock %q: locked by %s", e.Name, e.Key)
}

func lockedBy(name string, o line.Member) *LockedError {
	return &LockedError{
		Name: name, Key: o.Key, Lease: o.Lease(), Fence: o.Fence, Cached: o.Value == cached,
	}
}

// Is matches ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Lock waits until the lock is granted. After an error the caller does not hold the lock and never
// will from this call.
func (m *Mutex) Lock(ctx context.Context) (*Lock, error) {
	if m.cached {
		return m.lock(ctx, "lock", m.line.EnterCached, cached)
	}
	return m.lock(ctx, "lock", m.line.Enter, exclusive)
}

// TryLock acquires the lock if no other member holds it or waits for it, and returns [ErrLocked]
// otherwise. It never waits for the lock, except for a lock delay (see [Options]). A lock that
// another session has cached is held, see [LockedError].
//
// TryLock does not make a job run once: a process that starts after the holder has unlocked finds
// the lock free again. Record under the lock that the job is done, and check the record first.
func (m *Mutex) TryLock(ctx context.Context) (*Lock, error) {
	if m.cached {
		return m.lock(ctx, "try lock", m.line.TryCached, exclusive)
	}
	return m.lock(ctx, "try lock", m.line.Try, exclusive)
}

// enterFunc is [line.Line.Enter] or [line.Line.Try].
type enterFunc func(context.Context, line.Join) (line.Hold, error)

func (m *Mutex) lock(
	ctx context.Context, verb string, enter enterFunc, mode string,
) (*Lock, error) {
	if m.err != nil {
		return nil, m.line.Wrap(verb, m.err)
	}
	var h line.Hold
	var err error
	if m.detachable {
		h, err = m.lockDetachable(ctx, enter)
	} else {
		h, err = enter(ctx, line.Join{Value: mode, Exclusive: mode != shared})
	}
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		first := occupied.Snapshot.Members[0]
		return nil, lockedBy(m.line.Name, first)
	}
	if err != nil {
		return nil, m.line.Wrap(verb, err)
	}
	return &Lock{h, &m.line, m.detachable}, nil
}

// Unlock releases the lock, and the next waiter acquires it after one round trip, or at once if it
// is a waiter of the same client (see [Lock.Guard]). With [Options.Cache] it may keep the lock for
// the next Lock of the session, and with [Options.DeferUnlock] it may return before the others see
// it. Unlock returns [session.ErrNotHeld] when the lock was lost or unlocked before. See
// [session.Hold] for an Unlock that is cut off or fails.
func (l *Lock) Unlock(ctx context.Context) error {
	return l.line.Wrap("unlock", l.hold.Grip.Release(ctx))
}
