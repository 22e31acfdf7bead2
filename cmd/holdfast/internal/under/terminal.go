package under

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal is the one that the command reads from; nil if it does not, or if it is not for this process to read from.
type terminal struct{ fd int }

// takeTerminal makes the command's group the one that a terminal on its standard input is for, if it is for this process's:
// another group would be stopped when it reads.
func takeTerminal(cmd *exec.Cmd) *terminal {
	f, ok := cmd.Stdin.(*os.File)
	if !ok {
		return nil
	}
	t := &terminal{int(f.Fd())}
	if !t.mine() {
		return nil
	}
	cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, t.fd
	return t
}

// mine tells whether the terminal is for this process's group.
func (t *terminal) mine() bool {
	front, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && front == syscall.Getpgrp()
}

// give makes it the terminal of a group.
func (t *terminal) give(group int) {
	signal.Ignore(syscall.SIGTTOU) // which a process gets for this while the terminal is not its own
	defer signal.Reset(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group) // it may be gone
}
