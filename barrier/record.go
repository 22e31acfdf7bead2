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
// All members of all rounds form one line, in the order of their create_revisions, their fences.
// Keys beside the line record which of them are decided, and how:
//
//	<name>//parties   "double 3": the declaration; every join compares it
//	<name>//rounds    0…0131 [{"round":7,"first":120,"last":131}]: the complete rounds, behind
//	                  the fence of the last member of the last of them
//	<name>//broken    a mark: its mod_revision breaks the round of all members that joined
//	                  before it and are in no complete round
//	<name>/<lease>    a member
//
// Members that are not decided wait; the first n of them are the open round. A round becomes
// complete by an entry of the record, put in a transaction that compares that neither the record
// nor the mark has changed and that each of the n members is still there. It is broken by a put of
// the mark, which only compares that the round of the member that puts it is open: the record does
// not reach to its fence, and the mark is older. So a member that stops waiting breaks its round in
// the transaction that deletes its key, even if others joined or left meanwhile, and a late copy of
// that transaction does nothing. The record and the mark are put once for each round, so their
// versions together number the rounds.
//
// A member keeps its key until it has read the result of its round, and can read it late: an entry
// remains as long as members of its round do, and the last entry always. Since fences only grow, no
// member can join a decided round, and a round that was seen empty remains empty.
//
// The n-th member writes the entry; if it does not, another member does after a moment. A member of
// a Cyclic that sees that another has disappeared from the open round breaks it. The mark of a
// Double is never put.

const (
	roundsSetting = "rounds"
	brokenSetting = "broken"
)

// round is a complete round.
type round struct {
	Number int64 `json:"round"`
	First  int64 `json:"first"` // fence
	Last   int64 `json:"last"`
}

func (r round) has(fence int64) bool { return r.First <= fence && fence <= r.Last }

// anyIn reports whether a member of the round is still there. v must not be older than the round.
func (r round) anyIn(v line.Snapshot) bool {
	return slices.ContainsFunc(v.Members, func(m line.Member) bool { return r.has(m.Fence) })
}

// state is a line with its record.
type state struct {
	line.Snapshot
	rounds []round
	edge   int64 // members with fences up to this are decided
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

// parseRounds reads a record as of a revision. No member has a greater fence than that.
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

// has reports whether the member with this fence is there.
func (s state) has(fence int64) bool {
	return slices.ContainsFunc(s.Members, func(m line.Member) bool { return m.Fence == fence })
}

// number returns the number of the last decided round.
func (s state) number() int64 {
	return s.Puts[roundsSetting].Version + s.Puts[brokenSetting].Version
}

// waiting returns the members that are not decided.
func (s state) waiting() []line.Member {
	i := sort.Search(len(s.Members), func(i int) bool { return s.Members[i].Fence > s.edge })
	return s.Members[i:]
}

// fate returns the round of a decided member, or ErrBroken.
func (s state) fate(fence int64) (round, error) {
	i := slices.IndexFunc(s.rounds, func(r round) bool { return r.has(fence) })
	if i < 0 {
		return round{}, ErrBroken
	}
	return s.rounds[i], nil
}

// lost reports whether a member that waited before has disappeared, and not with a complete round.
func (s state) lost(before state) bool {
	gone := func(m line.Member) bool { return !s.has(m.Fence) }
	return s.Puts[roundsSetting] == before.Puts[roundsSetting] &&
		slices.ContainsFunc(before.waiting(), gone)
}

// complete returns the write that completes the open round, in which n members wait.
func (s state) complete(l *line.Line, n int) core.Write {
	w := core.Write{If: []gateway.Cmp{l.SameSettings(s.Snapshot)}}
	members := s.waiting()[:n]
	for _, m := range members {
		w.If = append(w.If, gateway.CmpCreateRevision(m.Key, gateway.Equal, m.Fence))
	}
	next := round{1 + s.number(), members[0].Fence, members[n-1].Fence}
	left := func(r round) bool { return !r.anyIn(s.Snapshot) }
	rounds := slices.DeleteFunc(slices.Clone(s.rounds), left)
	list, _ := json.Marshal(append(rounds, next)) // cannot fail
	w.Then = []gateway.Op{
		gateway.OpPut(l.SettingKey(roundsSetting), append(upTo(next.Last), list...)),
	}
	return w
}

// upTo returns the beginning of a record that reaches to a fence. All have the same number of
// digits, because etcd compares values as bytes.
func upTo(fence int64) []byte { return fmt.Appendf(nil, "%019d ", fence) }

// breaking returns an operation that breaks the round of the member with this fence, unless the
// round is decided.
func breaking(l *line.Line, fence int64) gateway.Op {
	record, mark := l.SettingKey(roundsSetting), l.SettingKey(brokenSetting)
	return gateway.OpTxn(gateway.Txn{
		If: []gateway.Cmp{gateway.CmpValue(record, gateway.Greater, upTo(fence))},
		// Else, because no compare of a missing key's value holds.
		Else: []gateway.Op{gateway.OpTxn(gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpModRevision(mark, gateway.Less, fence)},
			Then: []gateway.Op{gateway.OpPut(mark, nil)},
		})},
	})
}
