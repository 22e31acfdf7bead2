package mutex

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Values of a member's key, which say how it holds the lock. Exclusive members have an empty value,
// as in clientv3, or the value cached, see [Options.Cache].
const (
	exclusive = ""
	cached    = "cached"
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
// and members of other libraries, are writers. It is immutable, and making one does no I/O.
type RWMutex struct {
	m Mutex // not a pointer, so that the zero RWMutex is one without a session
}

// NewRWMutex names the lock that all sessions share under name. Calls return [gateway.ErrInvalid]
// for a LockDelay, for Detachable and for Cache.
func NewRWMutex(s *session.Session, name string, opts *Options) *RWMutex {
	m := New(s, name, opts)
	switch {
	case m.line.Delay != 0:
		m.err = fmt.Errorf("%w: a RWMutex takes no LockDelay", gateway.ErrInvalid)
	case m.cached:
		m.err = fmt.Errorf("%w: a RWMutex has no Cache", gateway.ErrInvalid)
	case m.detachable:
		m.err = fmt.Errorf("%w: a lock of a RWMutex is not detachable", gateway.ErrInvalid)
	}
	return &RWMutex{*m}
}

// Lock waits until the lock is granted for writing, see [Mutex.Lock].
func (rw *RWMutex) Lock(ctx context.Context) (*Lock, error) { return rw.m.Lock(ctx) }

// TryLock acquires the lock for writing if no other member holds it or waits for it, see
// [Mutex.TryLock].
func (rw *RWMutex) TryLock(ctx context.Context) (*Lock, error) { return rw.m.TryLock(ctx) }

// RLock waits until the lock is granted for reading, which is when no writer is ahead, see
// [Mutex.Lock].
func (rw *RWMutex) RLock(ctx context.Context) (*Lock, error) {
	return rw.m.lock(ctx, "read lock", rw.m.line.Enter, shared)
}

// TryRLock acquires the lock for reading if no writer holds it or waits for it, and returns
// [ErrLocked] otherwise.
func (rw *RWMutex) TryRLock(ctx context.Context) (*Lock, error) {
	return rw.m.lock(ctx, "try read lock", rw.m.line.Try, shared)
}

// Downgrade makes an exclusive hold a shared one, with no writer in between. The readers directly
// behind it are admitted. The fence does not change, and a shared lock remains shared. Downgrade
// returns [session.ErrNotHeld] when the lock had ended, and [gateway.ErrInvalid] when it is
// detachable. After [gateway.ErrUncertain] it may be shared.
func (l *Lock) Downgrade(ctx context.Context) error {
	if l.detachable {
		err := fmt.Errorf("%w: a detachable lock cannot be shared", gateway.ErrInvalid)
		return l.line.Wrap("downgrade", err)
	}
	return l.line.Wrap("downgrade", l.line.PutValue(ctx, l.hold, shared, nil))
}
