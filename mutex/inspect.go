package mutex

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/session"
)

// Member is one holder or waiter of a lock.
type Member struct {
	Key      string
	Lease    gateway.LeaseID
	Fence    int64
	Holder   bool
	Shared   bool          // a reader, see [RWMutex]
	Detached bool          // see [Lock.Detach]
	Cached   bool          // see [Options.Cache]; a holder may have unlocked
	Session  *session.Info // nil for members of other libraries
	// Since is when the lock was granted, by the clock of the holder's process, if it has a
	// [Options.MaxHold], from an age of at most 1 s on. Otherwise, and for waiters, it is zero,
	// because etcd does not keep times.
	Since time.Time
}

// Inspect lists the holder, if there is one, and the waiters in their order. A lock that is being
// released is shown as held until its key is deleted, also if a waiter of the same client was
// granted it. Inspect only reads, also after the session has ended. Returns the error of a request
// that failed.
func (m *Mutex) Inspect(ctx context.Context) ([]Member, error) {
	view, infos, since, err := m.line.InspectHolds(ctx)
	if err != nil {
		return nil, m.line.Wrap("inspect", err)
	}
	admitted := m.line.Rule(view)
	out := make([]Member, len(view.Members))
	for i, o := range view.Members {
		owner, _ := core.OwnerOf(o.Value)
		out[i] = Member{
			Key: o.Key, Lease: o.Lease(), Fence: o.Fence, Holder: i < admitted,
			Shared: o.Value == shared, Cached: o.Value == cached, Session: (*session.Info)(infos[i]),
			Since: since[i], Detached: owner.Detached,
		}
	}
	return out, nil
}

// Inspect lists the holders and the waiters in their order, see [Mutex.Inspect].
func (rw *RWMutex) Inspect(ctx context.Context) ([]Member, error) { return rw.m.Inspect(ctx) }

// Break removes a holder or a waiter of any process, see [session.Break]. key and fence are from
// [Mutex.Inspect] or a [LockedError]. Break returns [session.ErrNotHeld] when this incarnation of
// the key was gone, and [gateway.ErrInvalid] for a key that is no member's and for a blank reason.
func (m *Mutex) Break(ctx context.Context, key string, fence int64, reason string) error {
	return m.line.Break(ctx, key, fence, reason)
}

// Break removes a holder or a waiter, see [Mutex.Break].
func (rw *RWMutex) Break(ctx context.Context, key string, fence int64, reason string) error {
	return rw.m.Break(ctx, key, fence, reason)
}
