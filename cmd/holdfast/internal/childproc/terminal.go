package childproc

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal is the one that controls this process. A nil terminal is none.
type terminal struct{ fd int }

// openTerminal opens the controlling terminal. The standard input need not be it: a command may open it itself, to ask for
// a password, and the keyboard's signals come from it whatever the input is.
func openTerminal() *terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	return &terminal{fd}
}

func (t *terminal) close() {
	if t != nil {
		_ = unix.Close(t.fd) // only its group was ever changed
	}
}

// mine tells whether the terminal is for this process's group.
func (t *terminal) mine() bool {
	if t == nil {
		return false
	}
	front, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && front == syscall.Getpgrp()
}

// give makes it the terminal of a group.
func (t *terminal) give(group int) {
	if t != nil {
		_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group) // it may be gone
	}
}

// alone tells whether a command can have the terminal from the start: no other program shares this process's group. Where
// others do, in a pipeline or a script, the keyboard's signals are for them too, so that the group must stay in front
// until the command needs the terminal.
func (t *terminal) alone(files ...*os.File) bool {
	if !t.mine() || syscall.Getpid() != syscall.Getpgrp() {
		return false
	}
	for _, f := range files {
		if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe != 0 {
			return false
		}
	}
	return true
}
