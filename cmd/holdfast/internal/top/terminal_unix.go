//go:build unix

package top

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const supported = true

// The signals of a terminal.
const (
	resized = syscall.SIGWINCH
	resumed = syscall.SIGCONT
)

// readFor reads what was typed within d. It waits with poll, because a read of a terminal cannot be
// ended. ended means that the terminal is gone.
func readFor(in *os.File, buf []byte, d time.Duration) (n int, ended bool) {
	fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(d/time.Millisecond))
	if n == 0 || errors.Is(err, unix.EINTR) {
		return 0, false
	}
	if err == nil {
		n, err = unix.Read(int(in.Fd()), buf)
	}
	return max(n, 0), err != nil || n == 0
}
