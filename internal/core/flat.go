package core

import (
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/merge"
)

// Most of the cost of a request is its JSON, and nested transactions are most of that JSON. Without
// nesting, and with one range delete for neighbouring keys, the same group is less than half as
// long. But a flat group is applied as a whole or not at all. If one compare does not hold, for
// example because another process was faster, the group is sent again, nested.

// nestAfter is the number of groups that are nested from the start after a flat one was sent again.
const nestAfter = 32

// flat merges jobs into one write. ok is false if that write would be too large, or is not likely
// to be applied.
func (s *Session) flat(jobs []*merge.Job[*groupedWrite]) (all Write, ok bool) {
	if s.nest > 0 {
		s.nest--
		return Write{}, false
	}
	var deletes, absent []string
	all.Guarded = guarded(jobs)
	for _, j := range jobs {
		m := j.V
		all.If = append(all.If, m.w.If[:len(m.w.If)-len(m.absent)]...)
		all.Then = append(all.Then, m.w.Then[len(m.deletes):]...)
		deletes = append(deletes, m.deletes...)
		absent = append(absent, m.absent...)
	}
	for first, end := range runs(absent) {
		all.If = append(all.If, gateway.CmpCreateRevision(first, gateway.Equal, 0).Range(end))
	}
	for first, end := range runs(deletes) {
		all.Then = append(all.Then, gateway.OpDelete(first, gateway.Range(end)))
	}
	return all, max(len(all.If), len(all.Then)) <= maxGroup
}

// refused reports whether a flat write was rejected as such, and no copy of it can be applied.
func refused(out Outcome, inDoubt bool, err error) bool {
	return !inDoubt &&
		(err == nil && !out.Applied || errors.Is(err, gateway.ErrInvalid) && !out.Repeated)
}

var deletedOne = gateway.OpResponse{Delete: &gateway.DeleteResponse{Deleted: 1}}

// read takes the member's responses from the response to a flat write, and returns the rest.
func (m *groupedWrite) read(out Outcome) (rest []gateway.OpResponse) {
	m.out = out
	m.out.Responses = make([]gateway.OpResponse, 0, len(m.w.Then))
	for range m.deletes {
		m.out.Responses = append(m.out.Responses, deletedOne)
	}
	n := len(m.w.Then) - len(m.deletes)
	m.out.Responses = append(m.out.Responses, out.Responses[:n]...)
	return out.Responses[n:]
}

// runs yields, for each run of neighbours among keys that end in numbers, its first key and the end
// of its range.
func runs(keys []string) iter.Seq2[string, string] {
	slices.Sort(keys)
	return func(yield func(first, end string) bool) {
		for n := 0; len(keys) > 0; keys = keys[n:] {
			for n = 1; n < len(keys) && neighbours(keys[n-1], keys[n]); n++ {
			}
			if !yield(keys[0], keys[n-1]+"\x00") {
				return
			}
		}
	}
}

// neighbours reports whether b is a with the number at the end increased by one, and as long as a.
func neighbours(a, b string) bool {
	i := len(a) - 1
	for i >= 0 && a[i] == '9' {
		i--
	}
	return i >= 0 && a[i] >= '0' && a[i] < '9' &&
		len(b) == len(a) && b[:i] == a[:i] && b[i] == a[i]+1 && strings.Trim(b[i+1:], "0") == ""
}
