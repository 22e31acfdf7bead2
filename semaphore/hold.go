package semaphore

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var _ session.Hold = (*Permit)(nil)

// Context ends when the permit ends: before the lease can expire, when the server revokes the
// lease, when the permit's key is deleted, or when the permit is released. Its cause wraps
// [session.ErrLost], or is [session.ErrReleased].
func (p *Permit) Context() context.Context { return p.hold.Context() }

// Err returns nil while the permit may be relied on, and the reason after it has ended. It looks at
// the clock.
func (p *Permit) Err() error { return p.hold.Err() }

// Fence returns the revision that created the permit's key. Of two permits of one name the later
// one has the greater fence. Pass it to each store outside of etcd, and let that refuse a smaller
// fence than it has seen.
func (p *Permit) Fence() int64 { return p.hold.Fence() }

// Guard returns a compare that holds for as long as the permit's key exists. A transaction with it
// is applied only under this permit, even if the clocks are wrong.
func (p *Permit) Guard() gateway.Cmp { return p.hold.Guard() }

// Key returns the permit's key in etcd.
func (p *Permit) Key() string { return p.hold.Key() }

// Deadline returns the time at which the permit ends unless the session is renewed before.
func (p *Permit) Deadline() time.Time { return p.hold.Deadline() }

// Txn applies a transaction at most once, and only while the permit's key exists. It returns
// [gateway.ErrUncertain] when ctx ended before the outcome was known, and [session.ErrNotHeld] when
// the transaction was not and will not be applied, because the permit has ended. See
// [session.Session.Txn] for lost answers.
func (p *Permit) Txn(ctx context.Context, txn gateway.Txn) (*gateway.TxnResponse, error) {
	return p.hold.Txn(ctx, txn)
}
