package barrier

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// The protocol of rounds.
//
// All members of all rounds stand in one line, in the order of their create_revisions. The record, one key beside the
// line, tells which stretches of that order are rounds that were decided, and how:
//
//	<name>//parties   "double 3": what the place is for; every join compares it
//	<name>//rounds    [{"round":7,"from":120,"to":131},{"round":8,"from":131,"to":140,"broken":true}]
//	<name>/<lease>    a member, which belongs to the round with from < create_revision <= to
//
// Members behind the last round of the record wait; the first n of them are the open round. It is decided by writing the
// next entry, in a transaction that compares the record with what it was, and so exactly once:
//
//	complete  n wait; compares that each of the n is still there; ends with the n-th of them, so that whoever came
//	          later waits on for the next round
//	broken    fewer wait; compares that nobody has joined meanwhile; takes in all who wait
//
// A member keeps its key until it knows the fate of its round, and reads that from the record, whenever it comes to see
// it: an entry stays for as long as members of its round do, and the last one always. Since create_revisions only grow,
// nobody can come into a round that was decided, and a round that was seen empty stays so.
//
// The n-th member writes the entry; if it does not, any other does after a moment, and one that gives up while the round
// is full as well. Of a Cyclic, whoever gives up writes that the round is broken before it takes its key away, and whoever
// sees that another has gone from the open round does so too.

// fate is what became of one round.
type fate struct {
	Round  int64 `json:"round"`
	From   int64 `json:"from"`
	To     int64 `json:"to"`
	Broken bool  `json:"broken,omitempty"`
}

func (f fate) covers(m line.Member) bool { return f.From < m.Fence && m.Fence <= f.To }

// anyIn tells whether a member of the round is still there. v must not be older than the fate.
func (f fate) anyIn(v line.View) bool { return slices.ContainsFunc(v.Members, f.covers) }

const roundsSetting = "rounds"

var errForgotten = errors.New("the record does not tell of this round")

// state is a line with its record.
type state struct {
	line.View
	record []fate
	last   fate // the last round decided; zero if none was
}

func stateOf(v line.View) (state, error) {
	s := state{View: v}
	if text, ok := v.Settings[roundsSetting]; ok {
		if err := json.Unmarshal([]byte(text), &s.record); err != nil {
			return s, fmt.Errorf("the record of rounds: %w", err)
		}
	}
	if len(s.record) > 0 {
		s.last = s.record[len(s.record)-1]
	}
	return s, nil
}

// waiting are the members behind the last round.
func (s state) waiting() []line.Member {
	i := slices.IndexFunc(s.Members, func(m line.Member) bool { return m.Fence > s.last.To })
	if i < 0 {
		return nil
	}
	return s.Members[i:]
}

// fate looks up what became of a member's round.
func (s state) fate(me line.Member) (f fate, decided bool, _ error) {
	if me.Fence > s.last.To {
		return fate{}, false, nil
	}
	i := slices.IndexFunc(s.record, func(f fate) bool { return f.covers(me) })
	if i < 0 {
		return fate{}, false, errForgotten
	}
	return s.record[i], true, nil
}

// missing tells whether one of the members who waited before is neither waiting nor in a round now.
func (s state) missing(before state) bool {
	return s.last == before.last && slices.ContainsFunc(before.waiting(), func(m line.Member) bool {
		return !s.has(m)
	})
}

func (s state) has(m line.Member) bool {
	return slices.ContainsFunc(s.Members, func(o line.Member) bool { return o.Key == m.Key && o.Fence == m.Fence })
}

// decide is the write that decides the open round: complete if n wait, else broken.
func (s state) decide(l *line.Line, n int) (session.Write, error) {
	key := l.SettingKey(roundsSetting)
	same := gateway.CreateRevision(key, gateway.Equal, 0)
	if text, ok := s.Settings[roundsSetting]; ok {
		same = gateway.Value(key, gateway.Equal, []byte(text))
	}
	w := session.Write{If: []gateway.Cmp{same}}
	next := fate{Round: s.last.Round + 1, From: s.last.To}
	if all := s.waiting(); len(all) >= n {
		next.To = all[n-1].Fence
		for _, m := range all[:n] {
			w.If = append(w.If, gateway.CreateRevision(m.Key, gateway.Equal, m.Fence))
		}
	} else {
		next.To, next.Broken = s.Revision, true
		w.If = append(w.If, l.Unchanged(s.View))
	}
	var record []fate
	for _, f := range s.record {
		if f.anyIn(s.View) {
			record = append(record, f)
		}
	}
	text, err := json.Marshal(append(record, next))
	w.Then = []gateway.Op{gateway.OpPut(key, text)}
	return w, err
}
