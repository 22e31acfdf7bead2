package history

import (
	"slices"
	"strings"
)

// Tenure is one incarnation of a member of a line, with the revisions at which it joined, was
// admitted, and left. Admitted or Left is 0 if that has not happened.
type Tenure struct {
	Key      string
	Fence    int64 // the revision at which it joined
	Value    string
	Values   []Shown // in the order in which it had them
	Lease    int64
	Admitted int64
	Left     int64
}

// Shown is a value and the revision that wrote it.
type Shown struct {
	Rev   int64
	Value string
}

// Rule returns how many of the first members are admitted. settings are the keys beside the line.
type Rule func(members []*Tenure, settings map[string]string) int

// Exclusive is a Rule that admits the first member.
func Exclusive(members []*Tenure, _ map[string]string) int { return min(1, len(members)) }

// Shared is a Rule that admits the readers at the front, or one writer.
func Shared(members []*Tenure, settings map[string]string) int {
	n := 0
	for n < len(members) && members[n].Value == "shared" {
		n++
	}
	return max(n, Exclusive(members, settings))
}

// Line is the result of a replay.
type Line struct {
	Name    string
	Tenures map[int64]*Tenure // all members of all times, by fence
	Members []*Tenure         // members at the end
}

// Replay replays the members of a line under a rule and adds impossible changes to rep. It calls
// each, if it is not nil, after every revision that changed the line or its settings, with the
// members at that time.
func Replay(
	rep *Report, log Log, name string, rule Rule, each func(Revision, []*Tenure, map[string]string),
) *Line {
	l := &Line{Name: name, Tenures: map[int64]*Tenure{}}
	settings := map[string]string{}
	for _, r := range log {
		touched := false
		for _, ev := range r.Events {
			rest, ok := strings.CutPrefix(ev.Key, name+"/")
			if !ok {
				continue
			}
			if setting, ok := strings.CutPrefix(rest, "/"); ok {
				touched = true
				if settings[setting] = ev.Value; ev.Deleted {
					delete(settings, setting)
				}
			} else if !strings.Contains(rest, "/") {
				touched = true
				l.step(rep, r.Rev, ev)
			}
		}
		if !touched {
			continue
		}
		for _, m := range l.Members[:rule(l.Members, settings)] {
			if m.Admitted == 0 {
				m.Admitted = r.Rev
			}
		}
		if each != nil {
			each(r, l.Members, settings)
		}
	}
	return l
}

func (l *Line) step(rep *Report, rev int64, ev Event) {
	i := slices.IndexFunc(l.Members, func(m *Tenure) bool { return m.Key == ev.Key })
	switch {
	case ev.Deleted && i < 0:
		rep.Addf("%s: revision %d deletes %s, which was not there", l.Name, rev, ev.Key)
	case ev.Deleted:
		l.Members[i].Left = rev
		l.Members = slices.Delete(slices.Clone(l.Members), i, i+1)
	case i < 0:
		m := &Tenure{
			Key: ev.Key, Fence: rev, Value: ev.Value, Values: []Shown{{rev, ev.Value}},
			Lease: ev.Lease,
		}
		if ev.Create != rev {
			rep.Addf("%s: revision %d: %s was created at %d, which the log does not show", l.Name,
				rev, ev.Key, ev.Create)
		}
		if ev.Lease == 0 {
			rep.Addf("%s: revision %d: %s is a member without a lease", l.Name, rev, ev.Key)
		}
		if other := l.Tenures[rev]; other != nil {
			rep.Addf("%s: revision %d: %s and %s have the same fence", l.Name, rev, other.Key,
				ev.Key)
		}
		l.Tenures[rev] = m
		l.Members = append(slices.Clone(l.Members), m)
	default:
		m := l.Members[i]
		m.Value = ev.Value
		m.Values = append(m.Values, Shown{rev, ev.Value})
	}
}

// stamped is a call and the revision at which it took effect.
type stamped struct {
	what       string
	call, back int64
	rev        int64
}

// realTime checks that a call that began after another one had returned has the larger revision.
func realTime(rep *Report, all []stamped) {
	byReturn, byCall := slices.Clone(all), slices.Clone(all)
	slices.SortFunc(byReturn, func(a, b stamped) int { return cmp64(a.back, b.back) })
	slices.SortFunc(byCall, func(a, b stamped) int { return cmp64(a.call, b.call) })
	var latest stamped
	for _, b := range byCall {
		for len(byReturn) > 0 && byReturn[0].back < b.call {
			if byReturn[0].rev > latest.rev {
				latest = byReturn[0]
			}
			byReturn = byReturn[1:]
		}
		if latest.rev > b.rev || latest.rev == b.rev && latest.what != b.what {
			rep.Addf("%s at revision %d was called after %s at revision %d had returned", b.what,
				b.rev, latest.what, latest.rev)
			return // further pairs show the same fault
		}
	}
}

func cmp64(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
