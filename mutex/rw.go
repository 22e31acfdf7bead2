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

// Values of a member's key, which say how it holds the lock. Exclusive members have an empty value,
// as in clientv3.
const (
	exclusive = ""
	shared    = "shared"
)

// admit is the rule of all locks: readers at the front hold the lock together, a writer at the
// front holds it alone. A reader behind a waiting writer waits too, so that writers are not
// starved.
func admit(v line.Snapshot) int {
	readers := 0
	for readers < len(v.Members) && v.Members[readers].Value == shared {
		readers++
	}
	return max(readers, min(1, len(v.Members)))
}

// RWMutex names a lock that many readers or one writer hold. Users of a [Mutex] of the same name,
// and members of other libraries, are writers. It has no lock delay. It is immutable and safe for
// concurrent use; making one does no I/O.
type RWMutex struct {
	m *Mutex
}

// NewRWMutex names the lock that all sessions share under name. Calls return [gateway.ErrInvalid]
// if the name cannot be used, and for a LockDelay.
func NewRWMutex(s *session.Session, name string, opts *Options) *RWMutex {
	m := New(s, name, opts)
	if m.line.Delay != 0 {
		m.err = fmt.Errorf("%w: a RWMutex takes no LockDelay", gateway.ErrInvalid)
	}
	return &RWMutex{m}
}

// Lock waits until the lock is granted for writing, see [Mutex.Lock].
func (rw *RWMutex) Lock(ctx context.Context) (*Lock, error) { return rw.m.Lock(ctx) }

// TryLock acquires the lock for writing if no other member holds it or waits for it, see
// [Mutex.TryLock].
func (rw *RWMutex) TryLock(ctx context.Context) (*Lock, error) { return rw.m.TryLock(ctx) }

// Inspect lists the holders and the waiters in their order, see [Mutex.Inspect].
func (rw *RWMutex) Inspect(ctx context.Context) ([]Member, error) { return rw.m.Inspect(ctx) }

// RLock waits until the lock is granted for reading, which is when no writer is ahead. Errors are
// as for [Mutex.Lock].
func (rw *RWMutex) RLock(ctx context.Context) (*Lock, error) {
	return rw.m.lock(ctx, "read lock", rw.m.line.Enter, shared)
}

// TryRLock acquires the lock for reading if no writer holds it or waits for it, and returns
// [ErrLocked] otherwise. Other errors are as for [Mutex.Lock].
func (rw *RWMutex) TryRLock(ctx context.Context) (*Lock, error) {
	return rw.m.lock(ctx, "try read lock", rw.m.line.Try, shared)
}

// Downgrade makes an exclusive hold a shared one, with no writer in between. The readers directly
// behind it are admitted. The fence does not change, and a shared lock remains shared. Downgrade
// returns [gateway.ErrUncertain] and the context's error when ctx ends during the request; the hold
// may be shared then. Otherwise it returns [session.ErrNotHeld] when the hold had ended.
func (l *Lock) Downgrade(ctx context.Context) error {
	if err := l.Err(); err != nil {
		return fmt.Errorf("mutex: downgrade %q: %w: %w", l.line.Name, session.ErrNotHeld, err)
	}
	s := l.line.Session
	out, err := s.Write(ctx, core.Write{
		If:   []gateway.Cmp{l.Guard()},
		Then: []gateway.Op{gateway.OpPut(l.Key(), []byte(shared), gateway.WithLease(s.Lease()))},
	})
	switch {
	case errors.Is(err, session.ErrLost):
		return fmt.Errorf("mutex: downgrade %q: %w: %w", l.line.Name, session.ErrNotHeld, err)
	case err != nil:
		return fmt.Errorf("mutex: downgrade %q: %w", l.line.Name, err)
	case !out.Applied:
		return fmt.Errorf("mutex: downgrade %q: %w", l.line.Name, session.ErrNotHeld)
	}
	return nil
}
