package queue

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var _ session.Hold = (*Message)(nil)

// Context ends when the claim ends: before the lease can expire, when the server revokes the lease,
// when the claim's key is deleted, or when the claim is ended. Its cause wraps [session.ErrLost],
// or is [session.ErrReleased].
func (m *Message) Context() context.Context { return m.hold.Context() }

// Err returns nil while the claim may be relied on, and the reason after it has ended. It looks at
// the clock.
func (m *Message) Err() error { return m.hold.Err() }

// Fence returns the revision that created the claim's key. Of two claims of one name the later one
// has the greater fence. Pass it to each store outside of etcd, and let that refuse a smaller fence
// than it has seen.
func (m *Message) Fence() int64 { return m.hold.Fence() }

// Guard returns a compare that holds for as long as the claim's key exists. A transaction with it
// is applied only under this claim, even if the clocks are wrong.
func (m *Message) Guard() gateway.Cmp { return m.hold.Guard() }

// Key returns the claim's key in etcd.
func (m *Message) Key() string { return m.hold.Key() }

// Deadline returns the time at which the claim ends unless the session is renewed before.
func (m *Message) Deadline() time.Time { return m.hold.Deadline() }

// Txn applies a transaction at most once, and only while the claim's key exists. It returns
// [gateway.ErrUncertain] when ctx ended before the outcome was known, and [session.ErrNotHeld] when
// the transaction was not and will not be applied, because the claim has ended. See
// [session.Session.Txn] for lost answers.
func (m *Message) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	return m.hold.Txn(ctx, txn)
}
