package line

import (
	"sync/atomic"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// joinAnswer is the part of the line that the answer to a join shows. In a line that was long at
// the last join, the join also reads the last two keys of the line, its own and the one before,
// instead of the number of keys alone. That costs the server more in a long line, but it saves the
// request that reads the predecessor.
type joinAnswer struct {
	keys     int64 // in the line, the new one included
	others   int   // keys of the same session
	revision int64
	before   *Member // the predecessor, or nil if the answer does not show it
}

// joinRead returns the read that goes with the put of a join.
func (l *Line) joinRead(j Join, prefix string, others int) gateway.Op {
	// If the session has members in the line, its client may have a mirror.
	if !j.Exclusive || others > 0 || atomic.LoadInt32(&l.long) == 0 {
		return gateway.OpGet(prefix, gateway.Prefix(), gateway.CountOnly())
	}
	return gateway.OpGet(prefix, gateway.Prefix(), gateway.KeysOnly(), gateway.Limit(2),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Descend))
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

// farBack reports whether so many members are ahead that this one does not follow the line.
func (a joinAnswer) farBack() bool { return a.keys > directWatchThreshold+int64(a.others) }

// veryFarBack reports whether the predecessor will not leave as the first of the line for a while.
func (a joinAnswer) veryFarBack() bool { return a.keys > pastWatchThreshold+int64(a.others) }
