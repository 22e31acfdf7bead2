//go:build unix

package childproc

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal is the controlling terminal of this process, or nil.
type terminal struct{ fd int }

// openTerminal opens the controlling terminal, even if the standard input is another file: a
// command may open the terminal itself, to ask for a password, and the keyboard's signals are sent
// regardless of the input.
func openTerminal() *terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	return &terminal{fd}
}

func (t *terminal) close() {
	if t != nil {
		_ = unix.Close(t.fd) // only its group was changed
	}
}

// isForeground reports whether this process's group is the foreground group.
func (t *terminal) isForeground() bool {
	if t == nil {
		return false
	}
	front, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && front == syscall.Getpgrp()
}

// setForeground makes a group the foreground group.
func (t *terminal) setForeground(group int) {
	if t != nil {
		_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group) // the terminal may be gone
	}
}

// freeFor reports whether a command can have the terminal from the start, because no other program
// shares this process's group. Otherwise, in a pipeline or a script, the other programs need the
// keyboard's signals too, so the group stays in front until the command needs the terminal.
func (t *terminal) freeFor(files ...*os.File) bool {
	if !t.isForeground() || syscall.Getpid() != syscall.Getpgrp() {
		return false
	}
	for _, f := range files {
		if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe != 0 {
			return false
		}
	}
	return true
}
