package cli_test

import (
	"strings"
	"syscall"
	"testing"
)

// TestACommandReceivesTheSignals: a command receives the signals that holdfast receives, with its
// whole group.
func TestACommandReceivesTheSignals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		signal syscall.Signal
		trap   string
		code   int
	}{
		{syscall.SIGUSR1, "trap 'exit 5' USR1", 5},
		{syscall.SIGHUP, "trap 'exit 6' HUP", 6},
		{syscall.SIGTERM, "trap 'exit 0' TERM", 0},
		{syscall.SIGTERM, ":", 128 + 15},
		{syscall.SIGINT, ":", 128 + 2},
		{syscall.SIGQUIT, "ulimit -c 0", 128 + 3},
	} {
		name := fresh(t)
		r := start(t, "lock", name, "--", "sh", "-c",
			tt.trap+`; sh -c 'echo $$; exec sleep 100' & while :; do wait; done`)
		grandchild := r.line()
		r.signal(tt.signal)
		r.want(tt.code)
		// sh ignores these in background commands
		if tt.signal != syscall.SIGINT && tt.signal != syscall.SIGQUIT {
			eventually(t, "end of the grandchild", func() bool { return !alive(t, grandchild) })
		} else {
			endProcess(t, grandchild)
		}
		awaitMembers(t, name, 0)
	}
}

// TestASignalRemovesTheWaiter: a signal during the wait removes the waiter from the line, and
// determines the status.
func TestASignalRemovesTheWaiter(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hold(t, name)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		r := start(t, "lock", name, "--", "true")
		awaitMembers(t, name, 2)
		r.signal(sig)
		r.want(128 + int(sig))
		if text := r.stderr.String(); strings.Count(text, "\n") != 1 {
			t.Errorf("it said %q", text)
		}
		awaitMembers(t, name, 1)
	}
}
