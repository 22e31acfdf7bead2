package main

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
)

// dieOfSignal ends this process by the signal that ended its command or its wait. A script
// continues after an interrupted command unless it sees that the command died of the signal. It
// returns if it cannot end the process.
func dieOfSignal(err error) {
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
	if by, ok := errors.AsType[*signalled](err); ok {
		return by.signal, false
	}
	if outputClosed(err) {
		return syscall.SIGPIPE, false
	}
	return 0, false
}

// dieAtOnce ends the process without releasing its holds.
func (a *app) dieAtOnce(sig syscall.Signal) {
	warned := make(chan struct{})
	go func() {
		a.warn("ended at once by another signal (%v); the hold is free when the lease "+
			"expires", sig)
		close(warned)
	}()
	select {
	case <-warned:
	case <-time.After(lastWarning):
	}
	if os.Getpid() != 1 {
		childproc.Raise(sig)
	}
	os.Exit(codeSignal + int(sig))
}

// lastWarning is how long the last warning may take to print, because the output may be blocked, as
// on a terminal after Ctrl-S.
const lastWarning = 100 * time.Millisecond
