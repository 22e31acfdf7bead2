package main

import (
	"errors"
	"os"
	"syscall"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
)

// raise ends this process by the signal that ended its command or its wait. A script continues
// after an interrupted command unless it sees that the command died of the signal. raise returns if
// it cannot end the process.
func raise(err error) {
	sig, keyboard := endedBy(err)
	if sig == 0 || os.Getpid() == 1 { // the first process of a container does not die of a signal
		return
	}
	if keyboard { // a terminal sends the signal to a whole group
		childproc.RaiseGroup(sig)
	}
	childproc.Raise(sig)
}

// endedBy returns the signal of which a plain program would have died.
func endedBy(err error) (sig syscall.Signal, keyboard bool) {
	if _, ok := errors.AsType[*exitError](err); ok {
		return 0, false // it has its own exit status
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
