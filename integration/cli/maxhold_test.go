package cli_test

import (
	"strings"
	"testing"
	"time"
)

// TestMaxHoldEndsTheCommand: a command that hangs is ended, the status says that the hold was lost,
// and the next caller has it, although the process of the first lives on until then.
func TestMaxHoldEndsTheCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		verb func(name string) []string
	}{
		{"lock", func(name string) []string { return []string{"lock", name} }},
		{"semaphore", func(name string) []string { return []string{"semaphore", name, "--limit", "1"} }},
		{"elect", func(name string) []string { return []string{"elect", name, "me"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			verb := tt.verb(fresh(t))
			began := time.Now()
			hung := start(t, append(verb, "--max-hold", "2", "--grace", "0.5", "--",
				"sh", "-c", "echo began; sleep 100")...)
			if line := hung.line(); line != "began" {
				t.Fatalf("it printed %q", line)
			}
			next := start(t, append(verb, "--", "echo", "next")...)
			hung.want(75)
			if text := hung.stderr.String(); !strings.Contains(text, "longer than its limit") {
				t.Errorf("it said %q", text)
			}
			if took := time.Since(began); took < 1500*time.Millisecond {
				t.Errorf("ended after %v", took)
			}
			next.want(0)
			if out := next.rest(); !strings.Contains(out, "next") {
				t.Errorf("the next printed %q", out)
			}
		})
	}
}

// TestMaxHoldWithoutACommand: holdfast itself ends, and says why.
func TestMaxHoldWithoutACommand(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	r := start(t, "lock", "--max-hold", "2", "--grace", "0.5", name)
	r.line()
	eventually(t, "the time of the grant", func() bool {
		return strings.Contains(hf(t, 0, "info", "--json", name), "held_since")
	})
	r.want(75)
	if text := r.stderr.String(); !strings.Contains(text, "longer than its limit") {
		t.Errorf("it said %q", text)
	}
}

// TestMaxHoldThatIsTooShort is wrong usage, because the command would be ended at once.
func TestMaxHoldThatIsTooShort(t *testing.T) {
	t.Parallel()
	start(t, "lock", "--max-hold", "2", "--grace", "1.5", fresh(t), "--", "true").want(64)
	start(t, "lock", "--max-hold", "9", fresh(t), fresh(t), "--", "true").want(64)
}
