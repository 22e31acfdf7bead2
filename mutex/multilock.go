package mutex

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// MultiLock are several locks held together.
type MultiLock struct {
	held   []*Lock
	ctx    context.Context //nolint:containedctx // the life of the locks
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	released []bool // by an Unlock that failed for others
}

// LockAll waits until all the locks are granted, up to 60 of them. It joins all their lines in one
// transaction, so that one revision orders them among all other requests, and calls of LockAll
// cannot deadlock each other in any order of the names. It observes no lock delay.
//
// After an error none of the locks is held. LockAll returns [gateway.ErrInvalid] when there are no
// names, more than 60, or one is named twice, and [session.ErrLost] also when a lock that was
// already granted is lost.
func LockAll(ctx context.Context, s *session.Session, names ...string) (*MultiLock, error) {
	return lockAll(ctx, s, names, "lock all", line.EnterAll)
}

// TryLockAll is [LockAll] if no other member holds one of the locks or waits for it. Otherwise it
// returns [ErrLocked]; the error is a [*LockedError]. After an error none of the locks is held, or
// the session releases them in the background.
func TryLockAll(ctx context.Context, s *session.Session, names ...string) (*MultiLock, error) {
	return lockAll(ctx, s, names, "try lock all", line.TryAll)
}

func lockAll(
	ctx context.Context, s *session.Session, names []string, verb string,
	enter func(context.Context, []*line.Line) ([]line.Hold, error),
) (*MultiLock, error) {
	lines := linesOf(s, names)
	holds, err := enter(ctx, lines)
	if occupied, ok := errors.AsType[*line.OccupiedError](err); ok {
		first := occupied.Snapshot.Members[0]
		name := first.Key[:strings.LastIndexByte(first.Key, '/')]
		return nil, lockedBy(name, first)
	}
	if err != nil {
		return nil, fmt.Errorf("mutex: %s of %s: %w", verb, strings.Join(names, ", "), err)
	}
	return together(s, lines, holds), nil //nolint:contextcheck // the locks' own life
}

func linesOf(s *session.Session, names []string) []*line.Line {
	lines := make([]*line.Line, len(names))
	for i, name := range names {
		lines[i] = &New(s, name, nil).line
	}
	return lines
}

func together(s *session.Session, lines []*line.Line, holds []line.Hold) *MultiLock {
	l := &MultiLock{held: make([]*Lock, len(holds)), released: make([]bool, len(holds))}
	for i, h := range holds {
		l.held[i] = &Lock{h, lines[i], false}
	}
	l.ctx, l.cancel = context.WithCancelCause(s.Context())
	for _, h := range l.held {
		context.AfterFunc(h.Context(), func() { l.cancel(h.Err()) })
	}
	return l
}

// Context ends when any of the locks does.
func (l *MultiLock) Context() context.Context { return l.ctx }

// Fence returns the greatest fence of the locks. Later holders of any of them have a greater one.
func (l *MultiLock) Fence() int64 {
	fence := int64(0)
	for _, h := range l.held {
		fence = max(fence, h.Fence())
	}
	return fence
}

// Guards returns compares for the caller's own transactions. They hold for as long as all the locks
// are held.
func (l *MultiLock) Guards() []gateway.Cmp {
	guards := make([]gateway.Cmp, len(l.held))
	for i, h := range l.held {
		guards[i] = h.Guard()
	}
	return guards
}

// Keys returns the keys of the locks in etcd, in the order of the names.
func (l *MultiLock) Keys() []string {
	keys := make([]string, len(l.held))
	for i, h := range l.held {
		keys[i] = h.Key()
	}
	return keys
}

// Deadline returns the time at which the locks end unless the session is renewed before.
func (l *MultiLock) Deadline() time.Time { return l.held[0].Deadline() }

// Txn applies a transaction at most once, and only while all the locks are held, see [Lock.Txn].
func (l *MultiLock) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	resp, err := l.held[0].line.Session.TxnUnder(ctx, t, l.Guards()...)
	if err != nil {
		return nil, fmt.Errorf("mutex: txn under %s: %w", strings.Join(l.Keys(), ", "), err)
	}
	return resp, nil
}

// Err returns nil while all the locks may be relied on, and else the error of a lock that ended.
func (l *MultiLock) Err() error {
	for _, h := range l.held {
		if err := h.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Unlock releases all the locks, each as [Lock.Unlock] does, and returns their errors joined. After
// an error another Unlock releases those that are left.
func (l *MultiLock) Unlock(ctx context.Context) error {
	// Before the release, because a waiter of this process may be granted a lock at once.
	l.cancel(cmp.Or(l.Err(), session.ErrReleased))
	errs := make([]error, len(l.held))
	var all sync.WaitGroup
	for i, h := range l.held {
		all.Go(func() { errs[i] = h.Unlock(ctx) })
	}
	all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	left := slices.Contains(l.released, false)
	for i, err := range errs {
		switch {
		case err == nil:
			l.released[i] = true
		case left && l.released[i] && errors.Is(err, session.ErrNotHeld):
			errs[i] = nil // it was released by the Unlock before, which failed for others
		}
	}
	return errors.Join(errs...)
}
