package cli_test

import (
	"syscall"
	"testing"
)

// TestTheCommandEndsWhenHoldfastIsKilled: the command ends when holdfast is killed, and the lock is
// free when the lease has expired.
func TestTheCommandEndsWhenHoldfastIsKilled(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	r := start(t, "lock", "--ttl", "2", name, "--", "sh", "-c",
		"echo $$; while :; do sleep 0.1; done")
	child := r.line()
	r.signal(syscall.SIGKILL)
	r.want(128 + 9)
	eventually(t, "end of the child", func() bool { return !alive(t, child) })
	hf(t, 0, "lock", name, "-w", "20", "--", "true")
}
