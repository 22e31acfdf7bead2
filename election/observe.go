package election

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Leader is the candidate that leads.
type Leader struct {
	Key   string
	Lease gateway.LeaseID // of the leader's session; 0 if the key does not name one
	Fence int64           // the revision at which the candidate campaigned
	Value string
	// Revision is the revision of the read, or of the last event seen.
	Revision int64
}

// ErrNoLeader is returned by [Election.Leader] when there is no leader.
var ErrNoLeader = errors.New("no leader")

func leaderOf(v line.Snapshot) *Leader {
	if len(v.Members) == 0 {
		return nil
	}
	first := v.Members[0]
	return &Leader{first.Key, first.Lease(), first.Fence, first.Value, v.Revision}
}

// Leader reads the leader from etcd, also after the session has ended. It returns [ErrNoLeader]
// when there is none.
func (e *Election) Leader(ctx context.Context) (Leader, error) {
	v, err := e.line.Read(ctx)
	if err != nil {
		return Leader{}, e.line.Wrap("leader", err)
	}
	leader := leaderOf(v)
	if leader == nil {
		return Leader{}, e.line.Wrap("leader", ErrNoLeader)
	}
	return *leader, nil
}

// Candidate is the leader or a process that waits to lead.
type Candidate struct {
	Key     string
	Lease   gateway.LeaseID
	Fence   int64
	Value   string
	Session *session.Info // nil for candidates of other libraries
	// Since is when the term began, by the clock of the leader's process, if it has a
	// [Options.MaxHold], from an age of at most 1 s on. Otherwise, and for waiting candidates, it
	// is zero, because etcd does not keep times.
	Since time.Time
	// Priority is [Options.Priority]; 0 for candidates of other libraries.
	Priority int
}

// Candidates lists the leader, if there is one, and the waiting candidates in the order in which
// they will lead, in which higher priorities soon move ahead of lower ones. It only reads, also
// after the session has ended. Returns the error of a request that failed.
func (e *Election) Candidates(ctx context.Context) ([]Candidate, error) {
	v, infos, since, err := e.line.InspectHolds(ctx)
	if err != nil {
		return nil, e.line.Wrap("candidates", err)
	}
	out := make([]Candidate, len(v.Members))
	for i, m := range v.Members {
		out[i] = Candidate{
			Key: m.Key, Lease: m.Lease(), Fence: m.Fence, Value: m.Value,
			Priority: rankOf(m).priority, Session: (*session.Info)(infos[i]), Since: since[i],
		}
	}
	return out, nil
}

// Break removes the leader or a waiting candidate of any process, see [session.Break]. key and
// fence are from [Election.Candidates]. Break returns [session.ErrNotHeld] when this incarnation of
// the key was gone, and [gateway.ErrInvalid] for a key that is no candidate's and for a blank
// reason.
func (e *Election) Break(ctx context.Context, key string, fence int64, reason string) error {
	return e.line.Break(ctx, key, fence, reason)
}

// Event is a change that an observer sees: another leader, another value of the same leader, or no
// leader.
type Event struct {
	Leader   *Leader // nil if there is no leader
	Revision int64
}

func (ev Event) same(o Event) bool {
	if ev.Leader == nil || o.Leader == nil {
		return ev.Leader == o.Leader
	}
	a, b := ev.Leader, o.Leader
	return a.Key == b.Key && a.Fence == b.Fence && a.Value == b.Value
}

// Observe returns the leader at once, and again whenever the leader or its value changes, until ctx
// or the session ends. The last pair has the error: the context's, or [session.ErrLost]. Revisions
// only grow, across lost connections and compactions, so a leader that was followed by another does
// not appear again. Observe always returns the last state, and may skip states in between.
func (e *Election) Observe(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var shown *Event
		for v, err := range e.line.Follow(ctx) {
			if err != nil {
				yield(Event{}, e.line.Wrap("observe", err))
				return
			}
			ev := Event{leaderOf(v), v.Revision}
			if shown != nil && ev.same(*shown) {
				continue
			}
			shown = &ev
			if !yield(ev, nil) {
				return
			}
		}
	}
}
