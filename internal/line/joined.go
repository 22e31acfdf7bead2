package line

import (
	"sync/atomic"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// joinAnswer is the part of the line that the answer to a join shows. In a line that was long at
// the last join, the join also reads the last two keys of the line, its own and the one before,
// instead of the number of keys alone, and the settings if its wait depends on them. That costs the
// server more in a long line, but it saves the request that reads the predecessor.
type joinAnswer struct {
	keys     int64 // in the line, the new one included
	others   int   // keys of the same session
	revision int64
	before   *Member  // the predecessor, or nil if the answer does not show it
	settings Snapshot // without members; only with before, and if the wait depends on them
}

// addJoinReads adds the reads that go with the put of a join.
func (l *Line) addJoinReads(to []gateway.Op, j Join, prefix string, others int) []gateway.Op {
	// If the session has members in the line, its client may have a mirror.
	if !j.Exclusive && !j.Notes || others > 0 || atomic.LoadInt32(&l.long) == 0 {
		return append(to, gateway.OpGet(prefix, gateway.Prefix(), gateway.CountOnly()))
	}
	last := []gateway.Option{
		gateway.Prefix(), gateway.Limit(2),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Descend),
	}
	if j.Exclusive || j.Yield { // else the rule depends on the values
		last = append(last, gateway.KeysOnly())
	}
	if to = append(to, gateway.OpGet(prefix, last...)); j.Notes {
		to = append(to, gateway.OpGet(l.SettingKey(""), gateway.Prefix()))
	}
	return to
}

// answerOf returns the part of the line that the answer to a join shows.
func (l *Line) answerOf(me Member, out core.Outcome, others int) joinAnswer {
	read := out.Responses[1].Get
	found := joinAnswer{keys: read.Count, others: others, revision: out.Revision}
	if len(read.KVs) == 2 {
		last := snapshotOf(read, l.prefix()).Members
		// If an earlier try has put the key, others may have joined since.
		if len(last) == 2 && last[1].is(me) {
			found.before = &last[0]
		}
		if found.before != nil && len(out.Responses) > 2 {
			found.settings = snapshotOf(out.Responses[2].Get, l.prefix())
			found.settings.Revision = out.Revision
		}
	}
	long := int32(0)
	if found.farBack() {
		long = 1
	}
	if atomic.LoadInt32(&l.long) != long {
		atomic.StoreInt32(&l.long, long)
	}
	return found
}

// mustLeave reports whether the answer shows that the predecessor has to leave before this member's
// turn, and does not lead. Abort of a member that must yield does not depend on the members behind
// it only while there is no setting.
func (a joinAnswer) mustLeave(l *Line, j Join, me Member) bool {
	switch {
	case a.before == nil || !a.veryFarBack():
		return false
	case j.Yield:
		return len(a.settings.Settings) == 0
	}
	return !bothFit(l.Rule, a.settings.Settings, *a.before, me)
}

// farBack reports whether so many members are ahead that this one does not follow the line.
func (a joinAnswer) farBack() bool { return a.keys > directWatchThreshold+int64(a.others) }

// veryFarBack reports whether the predecessor will not leave as the first of the line for a while.
func (a joinAnswer) veryFarBack() bool { return a.keys > pastWatchThreshold+int64(a.others) }
