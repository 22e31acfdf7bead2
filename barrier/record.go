package barrier

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
)

// The protocol of rounds.
//
// All members of all rounds stand in one line, in the order of their create_revisions, their fences. Two keys beside the
// line tell which of them are decided, and how:
//
//	<name>//parties   "double 3": what the place is for; every join compares it
//	<name>//rounds    0…0131 [{"round":7,"first":120,"last":131}]: rounds that are complete, behind the fence of the last
//	                  member of the last of them
//	<name>//broken    a mark: its mod_revision breaks the round of all who had joined before and are in no complete one
//	<name>/<lease>    a member
//
// Whoever is not decided waits; the first n who wait are the open round. A round is complete by an entry of the record, put
// in a transaction that compares that neither key has changed and that each of the n members is still there. It is broken by
// a put of the mark, which compares no more than that the round of the one who puts it is open: the record does not reach
// to its fence, and the mark is older. So a member that gives up breaks its round by the very transaction that takes its
// key away, whoever has come or gone meanwhile, and a late copy of that does nothing. Each of the keys is put once for a
// round, so their versions together number the rounds.
//
// A member keeps its key until it knows the fate of its round, and reads that whenever it comes to see it: an entry stays
// for as long as members of its round do, and the last one always. Since fences only grow, nobody can come into a round
// that is decided, and a round that was seen empty stays so.
//
// The n-th member writes the entry; if it does not, another does after a moment. Of a Cyclic, whoever sees that another has
// gone from the open round breaks it. The mark of a Double is never put.

const (
	roundsSetting = "rounds"
	brokenSetting = "broken"
)

// round is a round that is complete.
type round struct {
	Number int64 `json:"round"`
	First  int64 `json:"first"` // fence
	Last   int64 `json:"last"`
}

func (r round) has(fence int64) bool { return r.First <= fence && fence <= r.Last }

// anyIn tells whether a member of the round is still there. v must not be older than the round.
func (r round) anyIn(v line.Snapshot) bool {
	return slices.ContainsFunc(v.Members, func(m line.Member) bool { return r.has(m.Fence) })
}

// state is a line with its record.
type state struct {
	line.Snapshot
	rounds []round
	edge   int64 // members up to here are decided
}

func stateOf(l *line.Line, v line.Snapshot) (state, error) {
	s := state{Snapshot: v, edge: v.Puts[brokenSetting].Revision}
	if text, ok := v.Settings[roundsSetting]; ok {
		var err error
		if s.rounds, err = parseRounds(text, v.Revision); err != nil {
			return s, fmt.Errorf("%w: %w", l.Corrupt(roundsSetting, text), err)
		}
		s.edge = max(s.edge, s.rounds[len(s.rounds)-1].Last)
	}
	return s, nil
}

var errRecord = errors.New("it is no record of rounds")

// parseRounds reads a record, as it was at a revision. No member has a greater fence than that.
func parseRounds(text string, revision int64) (rounds []round, _ error) {
	_, list, _ := strings.Cut(text, " ")
	if err := json.Unmarshal([]byte(list), &rounds); err != nil {
		return nil, err
	}
	last := int64(0)
	for _, r := range rounds {
		if r.First <= last || r.Last < r.First || r.Last > revision {
			return nil, errRecord
		}
		last = r.Last
	}
	if len(rounds) == 0 || !strings.HasPrefix(text, string(upTo(last))) {
		return nil, errRecord
	}
	return rounds, nil
}

// has tells whether the member with this fence is there.
func (s state) has(fence int64) bool {
	return slices.ContainsFunc(s.Members, func(m line.Member) bool { return m.Fence == fence })
}

// waiting are the members that are not decided.
func (s state) waiting() []line.Member {
	i := sort.Search(len(s.Members), func(i int) bool { return s.Members[i].Fence > s.edge })
	return s.Members[i:]
}

// fate is what became of a member that is decided.
func (s state) fate(fence int64) (round, error) {
	i := slices.IndexFunc(s.rounds, func(r round) bool { return r.has(fence) })
	if i < 0 {
		return round{}, ErrBroken
	}
	return s.rounds[i], nil
}

// lost tells whether one of the members who waited before has gone, and not with a round that is complete.
func (s state) lost(before state) bool {
	gone := func(m line.Member) bool { return !s.has(m.Fence) }
	return s.Puts[roundsSetting] == before.Puts[roundsSetting] && slices.ContainsFunc(before.waiting(), gone)
}

// complete is the write that makes the open round, for which n wait, a complete one.
func (s state) complete(l *line.Line, n int) core.Write {
	w := core.Write{If: []gateway.Cmp{l.SameSettings(s.Snapshot)}}
	members := s.waiting()[:n]
	for _, m := range members {
		w.If = append(w.If, gateway.CmpCreateRevision(m.Key, gateway.Equal, m.Fence))
	}
	next := round{1 + s.Puts[roundsSetting].Version + s.Puts[brokenSetting].Version, members[0].Fence, members[n-1].Fence}
	rounds := slices.DeleteFunc(slices.Clone(s.rounds), func(r round) bool { return !r.anyIn(s.Snapshot) })
	list, _ := json.Marshal(append(rounds, next)) // cannot fail
	w.Then = []gateway.Op{gateway.OpPut(l.SettingKey(roundsSetting), append(upTo(next.Last), list...))}
	return w
}

// upTo is how a record begins that reaches to a fence. As many digits each: etcd compares values as bytes.
func upTo(fence int64) []byte { return fmt.Appendf(nil, "%019d ", fence) }

// breaking breaks the round of the member with this fence, unless that is decided.
func breaking(l *line.Line, fence int64) gateway.Op {
	record, mark := l.SettingKey(roundsSetting), l.SettingKey(brokenSetting)
	return gateway.OpTxn(gateway.Txn{
		If: []gateway.Cmp{gateway.CmpValue(record, gateway.Greater, upTo(fence))},
		Else: []gateway.Op{gateway.OpTxn(gateway.Txn{ // there may be no record, of which no compare of values holds
			If:   []gateway.Cmp{gateway.CmpModRevision(mark, gateway.Less, fence)},
			Then: []gateway.Op{gateway.OpPut(mark, nil)},
		})},
	})
}
