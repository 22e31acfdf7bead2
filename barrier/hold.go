package barrier

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var (
	_ session.Hold = (*Hold)(nil)
	_ session.Hold = (*Entry)(nil)
)

// Context ends when the barrier ends: before the lease can expire, when the server revokes the
// lease, when the barrier's key is deleted, or when the barrier is released. Its cause wraps
// [session.ErrLost], or is [session.ErrReleased].
func (h *Hold) Context() context.Context { return h.hold.Context() }

// Err returns nil while the barrier may be relied on, and the reason after it has ended. It looks
// at the clock.
func (h *Hold) Err() error { return h.hold.Err() }

// Fence returns the revision that created the barrier's key. Of two holds of one name the later one
// has the greater fence. Pass it to each store outside of etcd, and let that refuse a smaller fence
// than it has seen.
func (h *Hold) Fence() int64 { return h.hold.Fence() }

// Guard returns a compare that holds for as long as the barrier's key exists. A transaction with it
// is applied only under this barrier, even if the clocks are wrong.
func (h *Hold) Guard() gateway.Cmp { return h.hold.Guard() }

// Key returns the barrier's key in etcd.
func (h *Hold) Key() string { return h.hold.Key() }

// Deadline returns the time at which the barrier ends unless the session is renewed before.
func (h *Hold) Deadline() time.Time { return h.hold.Deadline() }

// Txn applies a transaction at most once, and only while the barrier's key exists. It returns
// [gateway.ErrUncertain] when ctx ended before the outcome was known, and [session.ErrNotHeld] when
// the transaction was not and will not be applied, because the barrier has ended. See
// [session.Session.Txn] for lost answers.
func (h *Hold) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	return h.hold.Txn(ctx, txn)
}

// Context ends when the entry ends: before the lease can expire, when the server revokes the lease,
// when the entry's key is deleted, or when the entry is left. Its cause wraps [session.ErrLost], or
// is [session.ErrReleased].
func (e *Entry) Context() context.Context { return e.hold.Context() }

// Err returns nil while the entry may be relied on, and the reason after it has ended. It looks at
// the clock.
func (e *Entry) Err() error { return e.hold.Err() }

// Fence returns the revision that created the entry's key. Of two entries of one name the later one
// has the greater fence. Pass it to each store outside of etcd, and let that refuse a smaller fence
// than it has seen.
func (e *Entry) Fence() int64 { return e.hold.Fence() }

// Guard returns a compare that holds for as long as the entry's key exists. A transaction with it
// is applied only under this entry, even if the clocks are wrong.
func (e *Entry) Guard() gateway.Cmp { return e.hold.Guard() }

// Key returns the entry's key in etcd.
func (e *Entry) Key() string { return e.hold.Key() }

// Deadline returns the time at which the entry ends unless the session is renewed before.
func (e *Entry) Deadline() time.Time { return e.hold.Deadline() }

// Txn applies a transaction at most once, and only while the entry's key exists. It returns
// [gateway.ErrUncertain] when ctx ended before the outcome was known, and [session.ErrNotHeld] when
// the transaction was not and will not be applied, because the entry has ended. See
// [session.Session.Txn] for lost answers.
func (e *Entry) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	return e.hold.Txn(ctx, txn)
}
