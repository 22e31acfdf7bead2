package inspect

import (
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// Wait is a step of a deadlock: somebody waits at a place behind somebody else, who is the waiter of the next step.
type Wait struct {
	Place  string
	Waiter Member
	Holder Member // or who waits ahead
}

// Deadlocks finds circles of sessions of which each waits for the next. A session that was started under a hold of
// another (session.Options.ParentKey) and that one are taken for one.
//
// A session with several goroutines may yet give back with one what it waits for with another: what is found is then no
// deadlock.
func Deadlocks(places []Place) [][]Wait {
	parties := partiesOf(places)
	lines := stuck(places, parties)
	// What is left waits for what is left. Who waits for whom: for the first of the line.
	next := map[gateway.LeaseID]Wait{}
	var order []gateway.LeaseID
	for _, p := range lines {
		for _, m := range p.Members {
			party := parties[m.Lease]
			if _, ok := next[party]; !ok && !m.Holds {
				next[party] = Wait{p.Name, m, p.Members[0]}
				order = append(order, party)
			}
		}
	}
	var circles [][]Wait
	seen := map[gateway.LeaseID]bool{}
	for _, at := range order {
		var path []gateway.LeaseID
		for !seen[at] {
			seen[at] = true
			path = append(path, at)
			at = parties[next[at].Holder.Lease]
		}
		if i := slices.Index(path, at); i >= 0 {
			var circle []Wait
			for _, party := range path[i:] {
				circle = append(circle, next[party])
			}
			circles = append(circles, circle)
		}
	}
	return circles
}

// partiesOf gives each session one that stands for it and for all that it was started under.
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
		for range len(above) { // who is above whom could be a circle, written by somebody else
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

// stuck plays what would happen if everybody who waits for nothing gave back what they hold, again and again, and returns
// what is left of the lines.
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
			lines[i].Members = slices.DeleteFunc(lines[i].Members, func(m Member) bool { return !waits[parties[m.Lease]] })
			left = left || len(lines[i].Members) < n
		}
		if !left {
			return lines
		}
	}
}
