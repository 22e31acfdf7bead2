package docs_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// masks match the parts of an output that differ between runs. Times are not compared. The first
// group of the other ones is a value that must be the same wherever the page has the same.
var masks = []struct {
	kind    string
	pattern *regexp.Regexp
}{
	{"", regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?`)},
	{"", regexp.MustCompile(`\b\d+(?:\.\d+)?(?:ns|µs|ms|s)\b`)},
	{"", regexp.MustCompile(`\S+ \(\S+, pid \d+\)`)}, // an owner
	// A process that was stopped finds out first from its clock or from etcd.
	{"", regexp.MustCompile(`(lease not renewed in time|lease revoked or expired at the server)`)},
	{"process", regexp.MustCompile(`\bprocess (\d+)`)},
	{"lease", regexp.MustCompile(`/([0-9a-f]{12,16})\b`)},
	{"item", regexp.MustCompile(`\b([0-9a-f]{12,16}-\d{9})\b`)},
	{"fence", regexp.MustCompile(`(?:fence |holds +|detached +)(\d+)`)},
}

// values are the values of a page, with the ones that this run has in their place.
type values struct{ ours map[string]map[string]string }

func newValues() *values { return &values{ours: map[string]map[string]string{}} }

var blanks = regexp.MustCompile(`[ \t]+`)

// match compares an output with the one on the page. If they match, it remembers the values.
func (v *values) match(page, got string) error {
	page, theirs := mask(page)
	got, ours := mask(got)
	if page != got {
		return errors.New("the output differs")
	}
	next := map[string]map[string]string{}
	for i, of := range theirs {
		if next[of.kind] == nil {
			next[of.kind] = map[string]string{}
			maps.Copy(next[of.kind], v.ours[of.kind])
		}
		known := next[of.kind]
		for key, value := range known {
			if (key == of.value) != (value == ours[i].value) {
				return fmt.Errorf("%s %s is %s, and %s is %s", of.kind, key, value, of.value,
					ours[i].value)
			}
		}
		known[of.value] = ours[i].value
	}
	maps.Copy(v.ours, next)
	return nil
}

type value struct{ kind, value string }

// speaker matches the name of the process that printed a line.
var speaker = regexp.MustCompile(`^[a-z]: `)

// byProcess sorts lines by their processes if all lines have one, because two processes may print
// in any order.
func byProcess(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		if !speaker.MatchString(line) {
			return text
		}
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	return strings.Join(lines, "\n")
}

// mask replaces the parts that differ between runs, and returns their values.
func mask(text string) (string, []value) {
	text = byProcess(text)
	var found []value
	for _, m := range masks {
		var masked strings.Builder
		last := 0
		for _, at := range m.pattern.FindAllStringSubmatchIndex(text, -1) {
			from, to := at[0], at[1]
			if m.kind != "" {
				from, to = at[2], at[3]
				found = append(found, value{m.kind, text[from:to]})
			}
			masked.WriteString(text[last:from] + "<" + m.kind + ">")
			last = to
		}
		text = masked.String() + text[last:]
	}
	return blanks.ReplaceAllString(strings.TrimSpace(text), " "), found
}

// TestOutputsAreCompared: the comparison finds lines, numbers and values that are not on the page.
func TestOutputsAreCompared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		page, got string
		same      bool
	}{
		{"the same", "a: locked, fence 3\n", "a: locked, fence 17\n", true},
		{"another word", "a: locked, fence 3\n", "a: lost, fence 3\n", false},
		{"a line more", "one\n", "one\ntwo\n", false},
		{"a line less", "one\ntwo\n", "one\n", false},
		{"two processes", "a: stopped\nb: leading\n", "b: leading\na: stopped\n", true},
		{"another process", "a: stopped\nb: leading\n", "a: leading\nb: stopped\n", false},
		{"another order", "a: locked\na: written\n", "a: written\na: locked\n", false},
		{"a number", "attempt 1\n", "attempt 2\n", false},
		{"a time", "at 2026-11-27T22:46:11Z for 1.5s", "at 2027-01-01T00:00:00Z for 3ms", true},
		{"a column", "lock  a  holds  7", "lock a holds 12345", true},
		{"equal fences", "fence 3\nfence 3\n", "fence 5\nfence 5\n", true},
		{"fences that should be equal", "fence 3\nfence 3\n", "fence 5\nfence 6\n", false},
		{"fences that should differ", "fence 3\nfence 4\n", "fence 5\nfence 5\n", false},
		{
			"a lease", "a/667ccd26d8637aef (vm, pid 1)", "a/1234567890abcdef (host-7, pid 99)", true,
		},
	} {
		if err := newValues().match(tt.page, tt.got); (err == nil) != tt.same {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	v := newValues()
	if err := v.match("fence 3", "fence 5"); err != nil {
		t.Error(err)
	}
	if err := v.match("fence 3", "fence 6"); err == nil {
		t.Error("a fence of an earlier block is not compared")
	}
}
