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

// How a member holds the lock is the value of its key. That of an exclusive one is empty, as clientv3 has it.
const (
	exclusive = ""
	shared    = "shared"
)

// admit is the rule of all locks: readers at the front hold it together, anybody else alone. Whoever comes behind a
// waiting writer waits too, so that writers are not starved.
func admit(v line.Snapshot) int {
	readers := 0
	for readers < len(v.Members) && v.Members[readers].Value == shared {
		readers++
	}
	return max(readers, min(1, len(v.Members)))
}

// RWMutex names a lock that many readers or one writer hold. A [Mutex] of the same name, and a member of another library, are
// writers. There is no lock delay for it. It is immutable and safe for concurrent use; making one does no I/O.
type RWMutex struct {
	m *Mutex
}

// NewRWMutex names the lock that all sessions share under name.
func NewRWMutex(s *session.Session, name string, opts *Options) *RWMutex {
	m := New(s, name, opts)
	if m.line.Delay != 0 {
		m.err = fmt.Errorf("%w: a RWMutex takes no LockDelay", gateway.ErrInvalid)
	}
	return &RWMutex{m}
}

// Lock waits until the lock is granted for writing, see [Mutex.Lock].
func (rw *RWMutex) Lock(ctx context.Context) (*Lock, error) { return rw.m.Lock(ctx) }

// TryLock takes the lock for writing if nobody holds it or waits for it, see [Mutex.TryLock].
func (rw *RWMutex) TryLock(ctx context.Context) (*Lock, error) { return rw.m.TryLock(ctx) }

// Inspect lists the holders and the waiters in their order.
func (rw *RWMutex) Inspect(ctx context.Context) ([]Member, error) { return rw.m.Inspect(ctx) }

// RLock waits until the lock is granted for reading: until no writer is ahead. If it fails the caller does not hold the
// lock and never will from this call.
func (rw *RWMutex) RLock(ctx context.Context) (*Lock, error) {
	return rw.m.lock(ctx, "read lock", rw.m.line.Enter, shared)
}

// TryRLock takes the lock for reading if no writer holds it or waits for it, and is ErrLocked otherwise.
func (rw *RWMutex) TryRLock(ctx context.Context) (*Lock, error) {
	return rw.m.lock(ctx, "try read lock", rw.m.line.Try, shared)
}

// Downgrade makes an exclusive hold a shared one, with no writer in between; waiting readers behind it get in. The fence
// stays. If it is [gateway.ErrUncertain] the hold may be shared already; else, if it is [session.ErrNotHeld], the hold had
// ended. A lock that is shared stays so.
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
