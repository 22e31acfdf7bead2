package main

import (
	"errors"
	"os"
	"syscall"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
)

// raise ends this process by the signal that has ended its command, or its wait: a script goes on after a command that was
// interrupted unless it sees that the command died of that. It returns where that is not possible.
func raise(err error) {
	sig, keyboard := endedBy(err)
	if sig == 0 || os.Getpid() == 1 { // the first process of a container does not die of a signal
		return
	}
	if keyboard { // a terminal sends it to a whole group
		childproc.RaiseGroup(sig)
	}
	childproc.Raise(sig)
}

// endedBy is the signal that a plain program would have died of.
func endedBy(err error) (sig syscall.Signal, keyboard bool) {
	if _, ok := errors.AsType[*exitError](err); ok {
		return 0, false // it has a status of its own
	}
	if child, ok := errors.AsType[*childError](err); ok {
		return child.signal, child.keyboard
	}
	if gone, ok := errors.AsType[*signalled](err); ok {
		return gone.signal, false
	}
	if unread(err) {
		return syscall.SIGPIPE, false
	}
	return 0, false
}
