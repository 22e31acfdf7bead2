package mutex

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var _ session.Hold = (*Lock)(nil)

// Context ends when the lock is lost or unlocked. Its cause wraps [session.ErrLost], or is
// [session.ErrReleased].
func (l *Lock) Context() context.Context { return l.hold.Context() }

// Err returns nil while the lock may be relied on, and the reason after it has ended.
func (l *Lock) Err() error { return l.hold.Err() }

// Fence returns the revision that created the lock's key, or a later one if the lock was adopted,
// see [Adopt]. A later lock has a greater fence. It returns 0 after an Unlock that has kept the
// key, see [Options.Cache].
func (l *Lock) Fence() int64 { return l.hold.Fence() }

// Guard returns a compare that holds for as long as the lock's key exists and, if the lock is
// detachable, has this owner. After a call of Guard, or of Key, the next waiter of this process
// waits until Unlock has deleted the key, see also [Options.Cache].
func (l *Lock) Guard() gateway.Cmp { return l.hold.Guard() }

// Key returns the lock's key in etcd, see [Lock.Guard].
func (l *Lock) Key() string { return l.hold.Key() }

// Deadline returns the time at which the lock ends unless the session is renewed before, or there
// is [Lock.Progress].
func (l *Lock) Deadline() time.Time { return l.hold.Deadline() }

// Txn applies a transaction at most once, and only while the lock's key exists. It returns
// [session.ErrNotHeld] when the lock has ended, see [session.Hold].
func (l *Lock) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	return l.hold.Txn(ctx, t)
}

// Progress starts the time of [Options.MaxHold] anew, for work that moves. It sends no request. It
// returns [session.ErrNotHeld] when the lock has ended. Without a MaxHold it does nothing else.
func (l *Lock) Progress() error { return l.hold.Progress() }
