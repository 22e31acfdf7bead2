package shard

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Shard is a shard that this process holds. [session.Hold] documents its methods. It is safe for
// concurrent use.
type Shard struct {
	number int
	hold   line.Hold
	duty   *duty
	line   *line.Line
	turn   chan struct{} // full while copies of a SetValue may be under way
}

var _ session.Hold = (*Shard)(nil)

// Number returns the number of the shard, from 0.
func (s *Shard) Number() int { return s.number }

// Context ends when the shard is lost or released. Its cause wraps [session.ErrLost], or is
// [session.ErrReleased]. The context of the function ends earlier when the shard moves.
func (s *Shard) Context() context.Context { return s.hold.Context() }

// Err returns nil while the shard may be relied on, and the reason after it has ended.
func (s *Shard) Err() error { return s.hold.Err() }

// Fence returns the revision that created the shard's key. A later owner has a greater fence.
func (s *Shard) Fence() int64 { return s.hold.Fence() }

// Guard returns a compare that holds for as long as the shard's key exists.
func (s *Shard) Guard() gateway.Cmp { return s.hold.Guard() }

// Key returns the shard's key in etcd.
func (s *Shard) Key() string { return s.hold.Key() }

// Deadline returns the time at which the shard ends unless the session is renewed before.
func (s *Shard) Deadline() time.Time { return s.hold.Deadline() }

// Txn applies a transaction at most once, and only while the shard's key exists. It returns
// [session.ErrNotHeld] when the shard has ended, see [session.Hold].
func (s *Shard) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	return s.hold.Txn(ctx, t)
}
