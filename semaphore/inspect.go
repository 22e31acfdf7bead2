package semaphore

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// State is a semaphore at one moment.
type State struct {
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
}

// Inspect reads the limits, the units in use, and the holders and waiters in their order. Holders
// that do not fit any more after a Resize appear as waiters. Inspect only reads, also after the
// session has ended. It returns [session.ErrCorrupt] when the current limit is not a number, and
// the context's error when ctx ends first.
func (m *Semaphore) Inspect(ctx context.Context) (*State, error) {
	view, err := m.line.Read(ctx)
	if err == nil {
		err = m.corrupt(view)
	}
	if err != nil {
		return nil, m.wrap("inspect", err)
	}
	size, used, admitted := fill(view)
	out := &State{parse(view.Settings[limitSetting]), size, used, make([]Member, len(view.Members))}
	var leases []gateway.LeaseID
	for i, o := range view.Members {
		out.Members[i] = Member{
			Key: o.Key, Lease: o.Lease(), Fence: o.Fence,
			Weight: weigh(o, size), Holder: i < admitted,
		}
		if o.Lease() != 0 {
			leases = append(leases, o.Lease())
		}
	}
	infos, err := m.line.Session.SessionInfos(ctx, leases...)
	if err != nil {
		return nil, m.wrap("inspect", err)
	}
	for i := range out.Members {
		if found, ok := infos[out.Members[i].Lease]; ok {
			info := session.Info(found)
			out.Members[i].Session = &info
		}
	}
	return out, nil
}
