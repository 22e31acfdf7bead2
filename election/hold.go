package election

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var _ session.Hold = (*Term)(nil)

// Context ends when the term is lost or resigned. Its cause wraps [session.ErrLost], or is
// [session.ErrReleased].
func (t *Term) Context() context.Context { return t.hold.Context() }

// Err returns nil while the term may be relied on, and the reason after it has ended.
func (t *Term) Err() error { return t.hold.Err() }

// Fence returns the revision that created the term's key. A later term has a greater fence.
func (t *Term) Fence() int64 { return t.hold.Fence() }

// Guard returns a compare that holds for as long as the term's key exists.
func (t *Term) Guard() gateway.Cmp { return t.hold.Guard() }

// Key returns the term's key in etcd.
func (t *Term) Key() string { return t.hold.Key() }

// Deadline returns the time at which the term ends unless the session is renewed before, or
// there is [Term.Progress].
func (t *Term) Deadline() time.Time { return t.hold.Deadline() }

// Txn applies a transaction at most once, and only while the term's key exists. It returns
// [session.ErrNotHeld] when the term has ended, see [session.Hold].
func (t *Term) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	return t.hold.Txn(ctx, txn)
}

// Progress starts the time of [Options.MaxHold] anew, for work that moves. It sends no request. It
// returns [session.ErrNotHeld] when the term has ended. Without a MaxHold it does nothing else.
func (t *Term) Progress() error { return t.hold.Progress() }
