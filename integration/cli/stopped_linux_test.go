package cli_test

import (
	"syscall"
	"testing"
)

// TestAStoppedHoldfastEndsItsCommandLater: after a SIGSTOP holdfast cannot end its command, so it
// overlaps with the next holder's. The command ends when holdfast is continued.
func TestAStoppedHoldfastEndsItsCommandLater(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	r := start(t, "lock", "--ttl", "2", name, "--", "sh", "-c", "echo $$; exec sleep 1000")
	child := r.line()
	r.signal(syscall.SIGSTOP)
	hf(t, 0, "lock", name, "-w", "20", "--", "true")
	if !alive(t, child) {
		t.Error("the command has ended: docs/cli.md says that it runs on")
	}
	r.signal(syscall.SIGCONT)
	r.want(75)
	if alive(t, child) {
		t.Error("the command runs on without the lock")
	}
}
