//go:build unix

package top

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supported reports whether [Run] can use a terminal of this system.
const supported = true

// pollEvery bounds the time that the reader of the keyboard needs to see that it is to end.
const pollEvery = 50 * time.Millisecond

// readKeys sends the keys to a channel until done is closed or the terminal is gone, and then
// closes it. It waits with poll, because a read of a terminal cannot be ended.
func readKeys(in *os.File, done <-chan struct{}) <-chan key {
	keys := make(chan key)
	go func() {
		defer close(keys)
		fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
		buf := make([]byte, 256)
		for {
			select {
			case <-done:
				return
			default:
			}
			n, err := unix.Poll(fds, int(pollEvery/time.Millisecond))
			if n == 0 || err == unix.EINTR {
				continue
			}
			if err == nil {
				n, err = unix.Read(int(in.Fd()), buf)
			}
			if err != nil || n == 0 {
				return
			}
			for _, k := range keysOf(buf[:n]) {
				select {
				case keys <- k:
				case <-done:
					return
				}
			}
		}
	}()
	return keys
}

// watchSignals returns the signals after which the terminal must be drawn again, until stop.
func watchSignals() (signals <-chan os.Signal, stop func()) {
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, syscall.SIGWINCH, syscall.SIGCONT)
	return ch, func() { signal.Stop(ch) }
}

// continued reports whether a signal says that the process was stopped before.
func continued(sig os.Signal) bool { return sig == syscall.SIGCONT }

// stopLimit is how long a stop may take to have an effect. Without a shell that can continue the
// process, it has none.
const stopLimit = 100 * time.Millisecond

// stop stops the process group, as Ctrl-Z does outside of raw mode. It returns when the process has
// been continued, or is not stopped.
func stop(signals <-chan os.Signal) {
	if syscall.Kill(0, syscall.SIGTSTP) != nil {
		return
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	for {
		select {
		case sig := <-signals:
			if continued(sig) {
				return
			}
		case <-limit.C:
			return
		}
	}
}
