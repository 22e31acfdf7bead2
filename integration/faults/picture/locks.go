package picture

import (
	"math"
	"slices"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// Locks returns the lines of places with one holder at a time. For each client they show the waits,
// from the lock call to its return, and the holds, from then to the release or the loss. A hold
// that was not released lasts until the end.
func Locks(log history.Log, ops []history.Op, places ...string) []Line {
	end := int64(0)
	for _, o := range ops {
		end = max(end, o.Call, o.Return)
	}
	var all []Line
	for _, place := range places {
		var rep history.Report // not used, because package history reports violations of holds
		holds := (&history.Conditions{}).Holds(&rep, history.Of(ops, place))
		lines := map[string]int{}
		first := len(all)
		for i, h := range holds {
			at, ok := lines[h.Client]
			if !ok {
				at = len(all)
				lines[h.Client] = at
				all = append(all, Line{Name: place + " · " + h.Client})
			}
			to := h.To
			if to == math.MaxInt64 {
				to = end
			}
			l := &all[at]
			l.Bars = append(l.Bars, Bar{h.Call, h.From, Waits}, Bar{h.From, to, Holds})
			for _, next := range holds[i+1:] {
				if next.From < to {
					l.Bars = append(l.Bars, Bar{next.From, to, Wrong})
					break
				}
			}
			l.Deleted = max(l.Deleted, deleted(log, h.Key))
		}
		if len(all) > first {
			all[len(all)-1].Last = true
		}
	}
	return all
}

// deleted returns when the server deleted a key, by the log, or 0.
func deleted(log history.Log, key string) int64 {
	for _, r := range slices.Backward(log) {
		if slices.ContainsFunc(r.Events, func(ev history.Event) bool {
			return ev.Key == key && ev.Deleted
		}) {
			return r.At
		}
	}
	return 0
}
