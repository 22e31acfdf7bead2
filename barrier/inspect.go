package barrier

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// State is a barrier at one revision. A [Barrier] is up while it is raised or has members.
type State struct {
	Revision int64
	Raised   bool  // by [Barrier.Raise]
	Round    int64 // the last round of a [Double] or [Cyclic]; broken ones count
	// Missing is the number of members until the next round is complete, or of counts until the
	// [Latch] opens.
	Missing int
	Members []Member // in the order in which they joined
}

// Member is one session's key at a barrier.
type Member struct {
	Key     string
	Lease   gateway.LeaseID
	Fence   int64
	Holder  bool          // it holds the barrier up, or has passed and not left; else it waits
	Round   int64         // the round that it has passed
	Session *session.Info // nil for keys of other programs
}

// Inspect reads the state of the barrier. It only reads, also after the session has ended.
func (p *place) Inspect(ctx context.Context) (*State, error) {
	out, err := p.inspect(ctx)
	return out, p.line.Wrap("inspect", err)
}

func (p *place) inspect(ctx context.Context) (*State, error) {
	if err := p.checkNumber(); err != nil {
		return nil, err
	}
	v, infos, err := p.line.Inspect(ctx)
	if err == nil && p.kind != simple {
		err = p.agrees(v)
	}
	if err != nil {
		return nil, err
	}
	now, err := stateOf(&p.line, v)
	if err != nil {
		return nil, err
	}
	_, raised := v.Settings[raisedSetting]
	out := &State{Revision: v.Revision, Raised: raised, Round: now.number()}
	switch p.kind {
	case latch:
		out.Missing = p.left(v)
	case double, cyclic:
		out.Missing = max(0, p.n-len(now.waiting()))
	}
	for i, m := range v.Members {
		passed, err := now.fate(m.Fence)
		out.Members = append(out.Members, Member{
			Key: m.Key, Lease: m.Lease(), Fence: m.Fence, Holder: p.kind == simple || err == nil,
			Round: passed.Number, Session: (*session.Info)(infos[i]),
		})
	}
	return out, nil
}
