package once

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

var _ session.Hold = (*Run)(nil)

// Context ends when the run is lost or completed. Its cause wraps [session.ErrLost], or is
// [session.ErrReleased].
func (r *Run) Context() context.Context { return r.hold.Context() }

// Err returns nil while the run may be relied on, and the reason after it has ended.
func (r *Run) Err() error { return r.hold.Err() }

// Fence returns the revision that created the run's key. A later run has a greater fence.
func (r *Run) Fence() int64 { return r.hold.Fence() }

// Guard returns a compare that holds for as long as the run's key exists.
func (r *Run) Guard() gateway.Cmp { return r.hold.Guard() }

// Key returns the run's key in etcd.
func (r *Run) Key() string { return r.hold.Key() }

// Deadline returns the time at which the run ends unless the session is renewed before.
func (r *Run) Deadline() time.Time { return r.hold.Deadline() }

// Txn applies a transaction at most once, and only while the run's key exists. It returns
// [session.ErrNotHeld] when the run has ended, see [session.Hold].
func (r *Run) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	return r.hold.Txn(ctx, t)
}
