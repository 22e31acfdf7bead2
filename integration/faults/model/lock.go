package model

import (
	"fmt"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// lock is the state of a fenced mutex and of the register that its holders write.
type lock struct {
	owner   int64 // the fence of the hold, or 0
	highest int64
	value   string
}

var lockModel = porcupine.Model{
	Init: func() any { return lock{} },
	Step: func(state, input, _ any) (bool, any) {
		s, i := state.(lock), input.(in)
		switch i.verb {
		case "hold":
			return s.owner == 0 && i.fence > s.highest, lock{i.fence, i.fence, i.value}
		case history.Unlock, history.Lose:
			return s.owner == i.fence, lock{highest: s.highest}
		case "write":
			if i.refused {
				return s.owner != i.fence, s
			}
			if i.value != "" {
				s.value = i.value
			}
			return s.owner == i.fence, s
		case history.Read:
			return s.owner == i.fence && s.value == i.value, s
		}
		return false, s
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}

// Mutex checks a place with one holder at a time. delayed means that a lock delay keeps holds
// apart, even if leases are revoked early.
func Mutex(
	c *history.Conditions, place string, all []history.Op, written map[string]bool, delayed bool,
) *Verdict {
	t := newTrace(place)
	ops := history.Of(all, place)
	t.holds(c, ops, c.Early && !delayed, nil)
	t.writes(ops, written)
	return t.check(lockModel)
}

// Election checks an election as a register with the leader and its value. The log adds the leaders
// whose Campaign did not return their grant, because the session was lost or the call ended, since
// other clients may have read them.
func Election(c *history.Conditions, place string, all []history.Op, log history.Log) *Verdict {
	t := newTrace(place)
	ops := history.Of(all, place)
	t.holds(c, ops, c.Early, nil)
	t.writes(ops, Written(log))
	told := map[int64]bool{}
	calls := map[string]int64{}
	for _, o := range ops {
		switch {
		case o.Verb == history.Lock && o.Outcome == history.OK:
			told[o.Fence] = true
		case o.Verb == history.Lock:
			calls[o.Value] = o.Call
		case o.Verb == history.Read && o.Outcome == history.OK:
			t.add(o.Client, o.Call, o.Return, in{
				verb: history.Read, fence: o.Fence,
				value: o.Value,
			})
		}
	}
	var rep history.Report
	l := history.Replay(&rep, log, place, history.Exclusive, nil)
	for _, m := range l.Tenures {
		if m.Admitted != 0 && !told[m.Fence] {
			call := calls[m.Value]
			t.add("untold", call, never, in{verb: "hold", fence: m.Fence, value: m.Value})
			t.add("untold", call, never, in{verb: history.Lose, fence: m.Fence})
		}
	}
	return t.check(lockModel)
}
