package inspect

import (
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// Wait is a step of a deadlock: Waiter waits at Place behind Holder, which is the Waiter of the
// next step.
type Wait struct {
	Place  string
	Waiter Member
	Holder Member // a holder, or an earlier waiter
}

// Deadlocks returns the cycles of sessions of which each waits for the next. A session that was
// started under another session's hold (session.Options.ParentKey) counts as the same session.
//
// If a session has several goroutines, one may still release the hold for which another waits. Such
// a cycle is not a deadlock.
func Deadlocks(places []Place) [][]Wait {
	parties := partiesOf(places)
	lines := stuck(places, parties)
	// The members left wait for each other: each for the first of its line.
	next := map[gateway.LeaseID]Wait{}
	var order []gateway.LeaseID
	for _, p := range lines {
		for _, m := range p.Members {
			party := parties[m.Lease]
			if _, ok := next[party]; !ok && !m.Holds {
				next[party] = Wait{Place: p.Name, Waiter: m, Holder: p.Members[0]}
				order = append(order, party)
			}
		}
	}
	var cycles [][]Wait
	seen := map[gateway.LeaseID]bool{}
	for _, at := range order {
		var path []gateway.LeaseID
		for !seen[at] {
			seen[at] = true
			path = append(path, at)
			at = parties[next[at].Holder.Lease]
		}
		if i := slices.Index(path, at); i >= 0 {
			var cycle []Wait
			for _, party := range path[i:] {
				cycle = append(cycle, next[party])
			}
			cycles = append(cycles, cycle)
		}
	}
	return cycles
}

// partiesOf returns, for each session, the outermost session under which it was started.
func partiesOf(places []Place) map[gateway.LeaseID]gateway.LeaseID {
	owner, above := map[string]gateway.LeaseID{}, map[gateway.LeaseID]string{}
	for _, p := range places {
		for _, m := range p.Members {
			owner[m.Key] = m.Lease
			above[m.Lease] = ""
			if m.Session != nil {
				above[m.Lease] = m.Session.ParentKey
			}
		}
	}
	parties := map[gateway.LeaseID]gateway.LeaseID{}
	for lease := range above {
		at := lease
		// the bound is for a cycle of parents, which another program can write
		for range len(above) {
			up, ok := owner[above[at]]
			if !ok {
				break
			}
			at = up
		}
		parties[lease] = at
	}
	return parties
}

// stuck simulates that all sessions that wait for nothing release their holds, again and again. It
// returns the lines with the members that are left.
func stuck(places []Place, parties map[gateway.LeaseID]gateway.LeaseID) (lines []Place) {
	for _, p := range places {
		if p.Recipe == Lock || p.Recipe == Election || p.Recipe == Semaphore {
			p.Members = slices.Clone(p.Members)
			lines = append(lines, p)
		}
	}
	for {
		waits := map[gateway.LeaseID]bool{}
		for i := range lines {
			lines[i].admit()
			for _, m := range lines[i].Members {
				if !m.Holds {
					waits[parties[m.Lease]] = true
				}
			}
		}
		left := false
		for i := range lines {
			n := len(lines[i].Members)
			lines[i].Members = slices.DeleteFunc(lines[i].Members, func(m Member) bool {
				return !waits[parties[m.Lease]]
			})
			left = left || len(lines[i].Members) < n
		}
		if !left {
			return lines
		}
	}
}
