package semaphore

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// State is a semaphore at one revision.
type State struct {
	Revision      int64
	DeclaredLimit int // 0 if the semaphore was not used yet
	Limit         int // the current one
	Used          int // by holders
	Members       []Member
}

// Member is one holder or waiter of a semaphore.
type Member struct {
	Key     string
	Lease   gateway.LeaseID
	Fence   int64
	Weight  int
	Holder  bool
	Session *session.Info // nil for members of other libraries
	// Since is when the permit was granted, by the clock of the holder's process, if it has a
	// [Options.MaxHold], from an age of at most 1 s on. Otherwise, and for waiters, it is zero,
	// because etcd does not keep times.
	Since time.Time
}

// Inspect reads the limits, the units in use, and the holders and waiters in their order. Holders
// that do not fit any more after a Resize appear as waiters. Inspect only reads, also after the
// session has ended, and does not compare the declared limit. It returns [session.ErrCorrupt] when
// the current limit is not a number.
func (m *Semaphore) Inspect(ctx context.Context) (*State, error) {
	view, infos, since, err := m.line.InspectHolds(ctx)
	if err == nil {
		err = m.corrupt(view)
	}
	if err != nil {
		return nil, m.line.Wrap("inspect", err)
	}
	size, used, admitted := fill(view)
	out := &State{
		Revision: view.Revision, DeclaredLimit: parse(view.Settings[limitSetting]),
		Limit: size, Used: used, Members: make([]Member, len(view.Members)),
	}
	for i, o := range view.Members {
		out.Members[i] = Member{
			Key: o.Key, Lease: o.Lease(), Fence: o.Fence, Weight: weigh(o, size),
			Holder: i < admitted, Session: (*session.Info)(infos[i]), Since: since[i],
		}
	}
	return out, nil
}

// Break removes a holder or a waiter of any process, see [session.Break]. key and fence are from
// [Semaphore.Inspect]. Break returns [session.ErrNotHeld] when this incarnation of the key was
// gone, and [gateway.ErrInvalid] for a key that is no member's and for a blank reason.
func (m *Semaphore) Break(ctx context.Context, key string, fence int64, reason string) error {
	return m.line.Break(ctx, key, fence, reason)
}
