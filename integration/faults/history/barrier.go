package history

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Barriers checks a cyclic barrier. It is a value.
type Barriers struct {
	Place   string
	Parties int
}

// complete is a complete round. First and Last are the fences of its first and last member.
type complete struct {
	Round int64 `json:"round"`
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// rounds replays the record of rounds and the key that breaks a round.
type rounds struct {
	Barriers
	rep     *Report
	all     map[int64]complete
	number  int64     // of the last decided round
	edge    int64     // members up to this fence are decided
	members []*Tenure // before the current revision
}

// Check adds the violations of the barrier's rules to rep.
func (k Barriers) Check(rep *Report, log Log, all []Op) {
	s := &rounds{Barriers: k, rep: rep, all: map[int64]complete{}}
	l := Replay(rep, log, k.Place, Exclusive,
		func(r Revision, members []*Tenure, _ map[string]string) {
			for _, ev := range r.Events {
				switch ev.Key {
				case k.Place + "//rounds":
					s.recorded(r.Rev, ev)
				case k.Place + "//broken":
					s.broken(r.Rev)
				}
			}
			s.members = members
		})
	for _, m := range l.Members {
		rep.Addf("%s: %s has stood there since revision %d and nobody owns it", k.Place, m.Key,
			m.Fence)
	}
	k.passed(rep, s.all, Of(all, k.Place))
}

// open returns the members of the round that is not decided.
func (s *rounds) open() []*Tenure {
	i := slices.IndexFunc(s.members, func(m *Tenure) bool { return m.Fence > s.edge })
	if i < 0 {
		return nil
	}
	return s.members[i:min(i+s.Parties, len(s.members))]
}

// recorded checks a change of the record. It must repeat the rounds that it had before and add one
// more, which is made of the first members of the open round.
func (s *rounds) recorded(rev int64, ev Event) {
	reach, list, _ := strings.Cut(ev.Value, " ")
	var record []complete
	if err := json.Unmarshal([]byte(list), &record); err != nil || len(record) == 0 {
		s.rep.Addf("%s: revision %d: the record of rounds is %q", s.Place, rev, ev.Value)
		return
	}
	last := record[len(record)-1]
	if reach != fmt.Sprintf("%019d", last.Last) {
		s.rep.Addf("%s: revision %d: the record %q does not begin with where it reaches to",
			s.Place, rev, ev.Value)
	}
	for _, r := range record[:len(record)-1] {
		if was := s.all[r.Round]; was != r {
			s.rep.Addf("%s: revision %d: the fate of a round was %+v and is %+v", s.Place, rev, was,
				r)
		}
	}
	open := s.open()
	switch s.number++; {
	case last.Round != s.number:
		s.rep.Addf("%s: revision %d: the round behind %d is %+v", s.Place, rev, s.number-1, last)
	case len(open) != s.Parties:
		s.rep.Addf("%s: revision %d: a round of %d, not %d, is complete: %+v", s.Place, rev,
			len(open), s.Parties, last)
	case open[0].Fence != last.First || open[len(open)-1].Fence != last.Last:
		s.rep.Addf("%s: revision %d: the round %+v is not that of the first who wait, %d to %d",
			s.Place, rev, last,
			open[0].Fence, open[len(open)-1].Fence)
	}
	s.all[last.Round] = last
	s.edge = max(s.edge, last.Last)
}

// broken checks that a break has an open round.
func (s *rounds) broken(rev int64) {
	if len(s.open()) == 0 {
		s.rep.Addf("%s: revision %d breaks a round, and none is open", s.Place, rev)
	}
	s.number++
	s.edge = rev
}

// passed checks the answers of Await. Each client that passed was a member of that complete round,
// and no call returned before all members had called.
func (k Barriers) passed(rep *Report, all map[int64]complete, ops []Op) {
	type round struct {
		n                       int
		lastCall, firstReturned int64
	}
	rounds := map[int64]*round{}
	for _, o := range ops {
		if o.Verb != Await || o.Outcome != OK {
			continue
		}
		if c, ok := all[o.Round]; !ok || o.Fence < c.First || o.Fence > c.Last {
			rep.Addf("%s: %s passed round %d with the fence %d, and the log says %+v", k.Place,
				o.Client, o.Round, o.Fence, c)
		}
		r := rounds[o.Round]
		if r == nil {
			r = &round{firstReturned: math.MaxInt64}
			rounds[o.Round] = r
		}
		r.n++
		r.lastCall, r.firstReturned = max(r.lastCall, o.Call), min(r.firstReturned, o.Return)
	}
	for number, r := range rounds {
		if r.n > k.Parties {
			rep.Addf("%s: %d passed round %d", k.Place, r.n, number)
		}
		if r.firstReturned < r.lastCall {
			rep.Addf("%s: somebody passed round %d %s before another came", k.Place, number,
				ms(r.lastCall-r.firstReturned))
		}
	}
}
