package semaphore

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var _ session.Hold = (*Permit)(nil)

// Context ends when the permit is lost or released. Its cause wraps [session.ErrLost], or is
// [session.ErrReleased].
func (p *Permit) Context() context.Context { return p.hold.Context() }

// Err returns nil while the permit may be relied on, and the reason after it has ended.
func (p *Permit) Err() error { return p.hold.Err() }

// Fence returns the revision that created the permit's key. A later permit has a greater fence.
func (p *Permit) Fence() int64 { return p.hold.Fence() }

// Guard returns a compare that holds for as long as the permit's key exists.
func (p *Permit) Guard() gateway.Cmp { return p.hold.Guard() }

// Key returns the permit's key in etcd.
func (p *Permit) Key() string { return p.hold.Key() }

// Deadline returns the time at which the permit ends unless the session is renewed before, or
// there is [Permit.Progress].
func (p *Permit) Deadline() time.Time { return p.hold.Deadline() }

// Txn applies a transaction at most once, and only while the permit's key exists. It returns
// [session.ErrNotHeld] when the permit has ended, see [session.Hold].
func (p *Permit) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	return p.hold.Txn(ctx, t)
}

// Progress starts the time of [Options.MaxHold] anew, for work that moves. It sends no request. It
// returns [session.ErrNotHeld] when the permit has ended. Without a MaxHold it does nothing else.
func (p *Permit) Progress() error { return p.hold.Progress() }
