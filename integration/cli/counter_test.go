package cli_test

import (
	"strings"
	"testing"
)

// TestACounterCounts: a counter adds in any process, also a negative number.
func TestACounterCounts(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"0", []string{"get", name}},
		{"1", []string{"add", name}},
		{"42", []string{"add", name, "41"}},
		{"30", []string{"add", name, "--", "-12"}},
		{"30", []string{"get", name}},
		{`{"value":30}`, []string{"get", name, "--json"}},
	} {
		if got := hf(t, 0, append([]string{"counter"}, tt.args...)...); got != tt.want {
			t.Errorf("counter %q: %q, want %q", tt.args, got, tt.want)
		}
	}
	complain(t, 64, "counter", "add", name, "many")
	complain(t, 64, "counter", "add", name, "1", "2")
	complain(t, 64, "counter", "get")
	complain(t, 64, "counter")
}

// TestIDsAreUnique: the numbers of calls do not overlap.
func TestIDsAreUnique(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	seen := map[string]bool{}
	for _, args := range [][]string{{"-n", "100"}, nil, {"-n", "3"}} {
		out := hf(t, 0, append([]string{"id", name}, args...)...)
		for id := range strings.FieldsSeq(out) {
			if seen[id] {
				t.Errorf("%s again", id)
			}
			seen[id] = true
		}
	}
	if len(seen) != 104 {
		t.Errorf("%d numbers", len(seen))
	}
	if got := hf(t, 0, "id", name, "-n", "2", "--json"); !strings.Contains(got, `"count":2`) {
		t.Errorf("id = %s", got)
	}
	complain(t, 64, "id", name, "-n", "0")
	complain(t, 64, "id", name, "-n", "1000001")
}
