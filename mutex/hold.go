package mutex

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var _ session.Hold = (*Lock)(nil)

// Context ends when the lock ends: before the lease can expire, when the server revokes the lease,
// when the lock's key is deleted, or when the lock is unlocked. Its cause wraps [session.ErrLost],
// or is [session.ErrReleased].
func (l *Lock) Context() context.Context { return l.hold.Context() }

// Err returns nil while the lock may be relied on, and the reason after it has ended. It looks at
// the clock.
func (l *Lock) Err() error { return l.hold.Err() }

// Fence returns the revision that created the lock's key. Of two locks of one name the later one
// has the greater fence. Pass it to each store outside of etcd, and let that refuse a smaller fence
// than it has seen.
func (l *Lock) Fence() int64 { return l.hold.Fence() }

// Guard returns a compare that holds for as long as the lock's key exists. A transaction with it is
// applied only under this lock, even if the clocks are wrong.
func (l *Lock) Guard() gateway.Cmp { return l.hold.Guard() }

// Key returns the lock's key in etcd.
func (l *Lock) Key() string { return l.hold.Key() }

// Deadline returns the time at which the lock ends unless the session is renewed before.
func (l *Lock) Deadline() time.Time { return l.hold.Deadline() }

// Txn applies a transaction at most once, and only while the lock's key exists. It returns
// [gateway.ErrUncertain] when ctx ended before the outcome was known, and [session.ErrNotHeld] when
// the transaction was not and will not be applied, because the lock has ended. See
// [session.Session.Txn] for lost answers.
func (l *Lock) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	return l.hold.Txn(ctx, txn)
}
