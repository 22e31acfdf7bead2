package history

import (
	"fmt"
	"slices"
)

// Event is one change of a key.
type Event struct {
	Key     string `json:"key"`
	Value   string `json:"value,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
	Create  int64  `json:"create,omitempty"`
	Version int64  `json:"version,omitempty"`
	Lease   int64  `json:"lease,omitempty"`
}

// Revision is all changes of one revision.
type Revision struct {
	Rev    int64   `json:"rev"`
	At     int64   `json:"at"` // when a watcher first received it
	Events []Event `json:"events"`
}

// Log is the history of the whole store, revision by revision.
type Log []Revision

// At returns the time of a revision, or 0 if the log does not have it.
func (l Log) At(rev int64) int64 {
	if i, ok := l.find(rev); ok {
		return l[i].At
	}
	return 0
}

func (l Log) find(rev int64) (int, bool) {
	return slices.BinarySearchFunc(l, rev, func(r Revision, rev int64) int {
		return int(r.Rev - rev)
	})
}

// Report collects violations.
type Report struct {
	Violations []string
}

// Addf adds a violation.
func (r *Report) Addf(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
}

// Merge merges the logs of the watchers of several members into one log with the earliest time of
// each revision. It adds to rep the revisions that are missing, in the wrong order, or different on
// two members.
func Merge(rep *Report, logs ...Log) Log {
	var all Log
	for member, l := range logs {
		for i, r := range l {
			if i > 0 && r.Rev <= l[i-1].Rev {
				rep.Addf("member %d: a watch showed revision %d after %d", member, r.Rev,
					l[i-1].Rev)
			}
		}
		all = merge(rep, all, l)
	}
	for i, r := range all {
		if want := all[0].Rev + int64(i); r.Rev != want {
			rep.Addf("the log goes from revision %d to %d", want-1, r.Rev)
			break
		}
	}
	return all
}

func merge(rep *Report, a, b Log) Log {
	out := make(Log, 0, max(len(a), len(b)))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Rev < b[0].Rev:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0].Rev < a[0].Rev:
			out, b = append(out, b[0]), b[1:]
		default:
			r := a[0]
			if !slices.Equal(r.Events, b[0].Events) {
				rep.Addf("revision %d: one member has %v, another %v", r.Rev, r.Events, b[0].Events)
			}
			r.At = min(r.At, b[0].At)
			out, a, b = append(out, r), a[1:], b[1:]
		}
	}
	return out
}
