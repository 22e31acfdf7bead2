package model

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// item is an item in the queue. claim is the fence of its claim, or 0. back is the process that
// released the last claim, or empty; only that process must know of the release.
type item struct {
	value string
	claim int64
	back  string
}

// passes reports whether a process may claim an item behind this one.
func (it item) passes(process string) bool {
	return it.claim != 0 || it.back != "" && it.back != process
}

// A claim takes the first unclaimed item. A released item keeps its place, but other processes than
// the one that released it may not have received the event yet.
var queueModel = porcupine.Model{
	Init: func() any { return []item(nil) },
	Step: func(state, input, _ any) (bool, any) {
		s, i := state.([]item), input.(in)
		at := slices.IndexFunc(s, func(it item) bool { return it.value == i.value })
		set := func(claim int64, back string) []item {
			next := slices.Clone(s)
			next[at].claim, next[at].back = claim, back
			return next
		}
		switch i.verb {
		case history.Enqueue:
			return at < 0, append(slices.Clone(s), item{value: i.value})
		case "hold":
			first := slices.IndexFunc(s, func(it item) bool { return !it.passes(i.process) })
			if at < 0 || s[at].claim != 0 || first >= 0 && first < at {
				return false, s
			}
			return true, set(i.fence, "")
		case history.Ack:
			if at < 0 || s[at].claim != i.fence {
				return false, s
			}
			return true, slices.Delete(slices.Clone(s), at, at+1)
		case history.Nack, history.Lose:
			if at < 0 || s[at].claim != i.fence {
				return false, s
			}
			return true, set(0, i.process)
		}
		return false, s
	},
	Equal:         func(a, b any) bool { return slices.Equal(a.([]item), b.([]item)) },
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}

// Queue checks a queue of few items, because the time of the search grows fast with their number.
// The log adds the claims whose Receive did not return them, because the call ended or the session
// was lost. Each of them blocked an item for a short time, at any time after the item was enqueued.
func Queue(c *history.Conditions, place string, all []history.Op, log history.Log) *Verdict {
	t := newTrace(place)
	ops := history.Of(all, place)
	claims := history.Claims(log, place)
	acked := map[string]bool{}
	for _, cl := range claims {
		acked[incarnation(cl.Key, cl.Fence)] = cl.Acked
	}
	t.holds(c, ops, c.Early, acked)
	written := Written(log)
	called := map[string]int64{}
	told := map[string]bool{}
	for _, o := range ops {
		switch o.Verb {
		case history.Enqueue:
			called[o.Value] = o.Call
			i := in{verb: history.Enqueue, value: o.Value}
			switch {
			case o.Outcome == history.OK:
				t.add(o.Client, o.Call, o.Return, i)
			case written[o.Value]:
				t.add(o.Client, o.Call, never, i)
			}
		case history.Receive:
			told[incarnation(o.Key, o.Fence)] = o.Outcome == history.OK
		}
	}
	for _, cl := range claims {
		if !told[incarnation(cl.Key, cl.Fence)] {
			t.add("untold", called[cl.Value], never, in{
				verb: "hold", fence: cl.Fence, key: cl.Key,
				value: cl.Value,
			})
			t.add("untold", called[cl.Value], never, in{
				verb: history.Lose, fence: cl.Fence,
				key: cl.Key, value: cl.Value,
			})
		}
	}
	return t.check(queueModel)
}
