package mutex

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Member is one holder or waiter of a lock.
type Member struct {
	Key     string
	Lease   gateway.LeaseID
	Fence   int64
	Holder  bool
	Shared  bool          // a reader, see [RWMutex]
	Session *session.Info // nil for members of other libraries
}

// Inspect lists the holder, if there is one, and the waiters in their order. It only reads, also
// after the session has ended. It returns [gateway.ErrInvalid] when the name cannot be used, and
// the context's error when ctx ends first.
func (m *Mutex) Inspect(ctx context.Context) ([]Member, error) {
	view, err := m.line.Read(ctx)
	if err != nil {
		return nil, m.wrap("inspect", err)
	}
	admitted := m.line.Rule(view)
	out := make([]Member, len(view.Members))
	var leases []gateway.LeaseID
	for i, o := range view.Members {
		out[i] = Member{
			Key: o.Key, Lease: o.Lease(), Fence: o.Fence,
			Holder: i < admitted, Shared: o.Value == shared,
		}
		if out[i].Lease != 0 {
			leases = append(leases, out[i].Lease)
		}
	}
	infos, err := m.line.Session.SessionInfos(ctx, leases...)
	if err != nil {
		return nil, m.wrap("inspect", err)
	}
	for i := range out {
		if found, ok := infos[out[i].Lease]; ok {
			info := session.Info(found)
			out[i].Session = &info
		}
	}
	return out, nil
}
