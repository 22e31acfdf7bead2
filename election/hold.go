package election

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var _ session.Hold = (*Term)(nil)

// Context ends when the term ends: before the lease can expire, when the server revokes the lease,
// when the term's key is deleted, or when the term is resigned. Its cause wraps [session.ErrLost],
// or is [session.ErrReleased].
func (t *Term) Context() context.Context { return t.hold.Context() }

// Err returns nil while the term may be relied on, and the reason after it has ended. It looks at
// the clock.
func (t *Term) Err() error { return t.hold.Err() }

// Fence returns the revision that created the term's key. Of two terms of one name the later one
// has the greater fence. Pass it to each store outside of etcd, and let that refuse a smaller fence
// than it has seen.
func (t *Term) Fence() int64 { return t.hold.Fence() }

// Guard returns a compare that holds for as long as the term's key exists. A transaction with it is
// applied only under this term, even if the clocks are wrong.
func (t *Term) Guard() gateway.Cmp { return t.hold.Guard() }

// Key returns the term's key in etcd.
func (t *Term) Key() string { return t.hold.Key() }

// Deadline returns the time at which the term ends unless the session is renewed before.
func (t *Term) Deadline() time.Time { return t.hold.Deadline() }

// Txn applies a transaction at most once, and only while the term's key exists. It returns
// [gateway.ErrUncertain] when ctx ended before the outcome was known, and [session.ErrNotHeld] when
// the transaction was not and will not be applied, because the term has ended. See
// [session.Session.Txn] for lost answers.
func (t *Term) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	return t.hold.Txn(ctx, txn)
}
