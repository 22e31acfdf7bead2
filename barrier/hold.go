package barrier

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

var (
	_ session.Hold = (*Hold)(nil)
	_ session.Hold = (*Entry)(nil)
)

// member is the part of a [Hold] and an [Entry] that both have.
type member struct {
	hold line.Hold
	at   *place
}

// Context ends when the hold is lost or released. Its cause wraps [session.ErrLost], or is
// [session.ErrReleased].
func (m *member) Context() context.Context { return m.hold.Context() }

// Err returns nil while the hold may be relied on, and the reason after it has ended.
func (m *member) Err() error { return m.hold.Err() }

// Fence returns the revision that created the hold's key. A later hold has a greater fence.
func (m *member) Fence() int64 { return m.hold.Fence() }

// Guard returns a compare that holds for as long as the hold's key exists.
func (m *member) Guard() gateway.Cmp { return m.hold.Guard() }

// Key returns the hold's key in etcd.
func (m *member) Key() string { return m.hold.Key() }

// Deadline returns the time at which the hold ends unless the session is renewed before.
func (m *member) Deadline() time.Time { return m.hold.Deadline() }

// Txn applies a transaction at most once, and only while the hold's key exists. It returns
// [session.ErrNotHeld] when the hold has ended, see [session.Hold].
func (m *member) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	return m.hold.Txn(ctx, t)
}
