package board

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Snapshot is the picture at one moment. It must not be modified.
type Snapshot struct {
	Time     time.Time
	Revision int64      // of the last change that was seen
	Names    []*Name    // by name
	Sessions []*Session // by lease; also leases of other libraries in the lines
	// Cycles are the sessions that wait for each other, see [inspect.Deadlocks].
	Cycles [][]inspect.Wait
	Notes  []string // about keys that the user may not read
	// Problem is the reason why the picture may be old, since ProblemSince: etcd does not answer, or
	// does not let the user read the names any more. nil if the picture is up to date.
	Problem      error
	ProblemSince time.Time

	stale <-chan struct{}
}

// Session is a session, or a lease of another library.
type Session struct {
	Lease  gateway.LeaseID
	Info   *session.Info // nil without a record
	Holds  int
	Waits  int
	Blocks int // number of members that wait behind its holds
	// Left is the remaining time of the lease at the time Checked, and TTL the time that each
	// renewal gives it. All are zero until they are read.
	TTL, Left time.Duration
	Checked   time.Time
	// Suspect reports that half of the TTL or more has passed without a renewal. The session is
	// dead or cut off, and loses its holds when the lease ends.
	Suspect bool
}

// Margin returns the time that remained of the lease at a time, which is negative if it should have
// ended. ok is false if it is not known.
func (s *Session) Margin(now time.Time) (left time.Duration, ok bool) {
	return s.Left - now.Sub(s.Checked), !s.Checked.IsZero()
}

// Turn is a change of the holders of a name that the board has seen.
type Turn struct {
	Time  time.Time
	Fence int64
	Owner string // the session, see [Owner]
	Holds bool   // it holds since then; false: it has ceased to hold
	// Reason says why it ended, if that is known.
	Reason string
}

// Owner returns a text that names the owner of a member.
func Owner(m *inspect.Member) string {
	switch {
	case m.Detached:
		return "detached"
	case m.Session != nil:
		return m.Session.String()
	case m.Under == 0:
		return "no lease"
	}
	return "lease " + m.Lease.String()
}

// build returns the present snapshot. mu must be locked.
func (b *Board) build() *Snapshot {
	if b.current != nil {
		return b.current
	}
	now := time.Now()
	for n := range b.dirty {
		b.show(n)
	}
	clear(b.dirty)
	problem := b.oldest()
	s := &Snapshot{
		Time: now, Revision: b.revision, Notes: slices.Sorted(maps.Values(b.notes)),
		Problem: problem.err, ProblemSince: problem.since, stale: b.stale,
	}
	for _, n := range b.names {
		if n.shown != nil {
			s.Names = append(s.Names, n.shown)
		}
	}
	slices.SortFunc(s.Names, func(x, y *Name) int { return strings.Compare(x.Name, y.Name) })
	s.Sessions = b.sessions()
	if b.previous != nil && !b.lines {
		s.Cycles = b.previous.Cycles
	} else {
		s.Cycles = cycles(s.Names)
	}
	b.lines = false
	b.current, b.previous = s, s
	return s
}

// cycles returns the deadlocks. Lines without a waiter are left out, unless a session runs
// under a hold, which may be any.
func cycles(names []*Name) [][]inspect.Wait {
	nested := slices.ContainsFunc(names, func(n *Name) bool { return n.nested })
	var lines []inspect.Place
	for _, n := range names {
		if n.Waiting > 0 && n.isLine() || nested {
			lines = append(lines, n.Place)
		}
	}
	if len(lines) < 2 && !nested {
		return nil
	}
	return inspect.Deadlocks(lines)
}

// Delta is the difference of two snapshots.
type Delta struct {
	Names    []*Name // new or changed
	Gone     []string
	Sessions []*Session // new or changed
	Ended    []gateway.LeaseID
}

// Diff returns the difference between two snapshots of one board. before may be nil.
func Diff(before, after *Snapshot) (d Delta) {
	if before == nil {
		before = &Snapshot{}
	}
	d.Names = differ(before.Names, after.Names,
		func(x, y *Name) int { return strings.Compare(x.Name, y.Name) },
		func(n *Name) { d.Gone = append(d.Gone, n.Name) })
	d.Sessions = differ(before.Sessions, after.Sessions,
		func(x, y *Session) int { return cmp.Compare(x.Lease, y.Lease) },
		func(s *Session) { d.Ended = append(d.Ended, s.Lease) })
	return d
}

// differ returns the pointers of a sorted list that are not in an earlier one. It calls gone for
// the elements of the earlier list that the later has not.
func differ[T any](before, after []*T, order func(a, b *T) int, gone func(*T)) (changed []*T) {
	for i, j := 0, 0; i < len(before) || j < len(after); {
		switch {
		case j == len(after) || i < len(before) && order(before[i], after[j]) < 0:
			gone(before[i])
			i++
		case i == len(before) || order(before[i], after[j]) > 0:
			changed = append(changed, after[j])
			j++
		default:
			if before[i] != after[j] {
				changed = append(changed, after[j])
			}
			i++
			j++
		}
	}
	return changed
}
