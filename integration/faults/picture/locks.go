package picture

import (
	"math"
	"slices"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// Locks draws places that one holds at a time: for each client, from when it asked until it was told that it holds, and
// from then on until it gave back or knew that it had lost. What was not given back is held until the end.
func Locks(log history.Log, ops []history.Op, places ...string) []Line {
	end := int64(0)
	for _, o := range ops {
		end = max(end, o.Call, o.Return)
	}
	var all []Line
	for _, place := range places {
		var rep history.Report // what is wrong with the holds themselves is reported by package history
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

// deleted is when the server deleted a key, by the log.
func deleted(log history.Log, key string) int64 {
	for _, r := range slices.Backward(log) {
		if slices.ContainsFunc(r.Events, func(ev history.Event) bool { return ev.Key == key && ev.Deleted }) {
			return r.At
		}
	}
	return 0
}
