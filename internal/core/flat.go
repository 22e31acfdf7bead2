package core

import (
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/merge"
)

// The gateway's work is in the JSON, and a group of nested transactions is most of it: without the nesting, and with the
// deletes of neighbours as one, the same group is less than half as long. But then it is applied as a whole or not at all,
// and where one compare does not hold, as when another process was faster, it has to go again, nested.

// nestAfter is how many groups are nested from the start after one that had to go again.
const nestAfter = 32

// flat makes one write of several, unless that would be too large or is not likely to be applied.
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

// refused tells whether a flat write was refused as such, and no copy of it is out.
func refused(out Outcome, inDoubt bool, err error) bool {
	return !inDoubt && (err == nil && !out.Applied || errors.Is(err, gateway.ErrInvalid) && !out.Repeated)
}

var deletedOne = gateway.OpResponse{Delete: &gateway.DeleteResponse{Deleted: 1}}

// read takes the member's part of the answer to a flat write, and returns the rest.
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

// runs gives the first key of each run of neighbours among keys that end in numbers, and the first behind its last.
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

// neighbours tells whether b is a with a number at the end that is greater by one.
func neighbours(a, b string) bool {
	i := len(a) - 1
	for i >= 0 && a[i] == '9' {
		i--
	}
	return i >= 0 && a[i] >= '0' && a[i] < '9' && len(b) == len(a) && b[:i] == a[:i] && b[i] == a[i]+1 &&
		strings.Trim(b[i+1:], "0") == ""
}
