package mutex

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// MultiLock are several locks held together. They are safe for concurrent use.
type MultiLock struct {
	held   []*Lock
	ctx    context.Context //nolint:containedctx // the life of the locks themselves, returned by Context
	cancel context.CancelCauseFunc
}

// LockAll waits until all the locks are granted, up to 60 of them. It joins all their lines in one
// transaction, so that one revision orders them among all other requests, and calls of LockAll
// cannot deadlock each other in any order of the names. It observes no lock delay.
//
// After an error none of the locks is held. LockAll returns [gateway.ErrInvalid] when there are no
// names, more than 60, or one is named twice; the context's error when ctx ends first; and
// [session.ErrLost] when the session ends, or a lock that was already granted is lost.
func LockAll(ctx context.Context, s *session.Session, names ...string) (*MultiLock, error) {
	lines := make([]*line.Line, len(names))
	for i, name := range names {
		lines[i] = &New(s, name, nil).line
	}
	holds, err := line.EnterAll(ctx, lines)
	if err != nil {
		return nil, fmt.Errorf("mutex: lock all of %s: %w", strings.Join(names, ", "), err)
	}
	l := &MultiLock{}
	l.ctx, l.cancel = context.WithCancelCause(s.Context())
	for i, h := range holds {
		l.held = append(l.held, &Lock{h.Hold, h.Grip, lines[i]})
		context.AfterFunc(h.Context(), func() { l.cancel(h.Err()) }) //nolint:contextcheck // it passes on how the hold ended
	}
	return l, nil
}

// Context ends when any of the locks does.
func (l *MultiLock) Context() context.Context { return l.ctx }

// Fence is the fence of all the locks, because their keys were created at one revision.
func (l *MultiLock) Fence() int64 { return l.held[0].Fence() }

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

// Txn applies a transaction at most once, and only while all the locks are held, see [Lock.Txn].
func (l *MultiLock) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	resp, err := l.held[0].line.Session.TxnUnder(ctx, txn, l.Guards()...)
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

// Unlock releases all the locks, each as [Lock.Unlock] does, and returns their errors joined.
func (l *MultiLock) Unlock(ctx context.Context) error {
	errs := make([]error, len(l.held))
	var all sync.WaitGroup
	for i, h := range l.held {
		all.Go(func() { errs[i] = h.Unlock(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
