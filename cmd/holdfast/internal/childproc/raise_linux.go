package childproc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Raise ends this process by a signal, without a core dump. It returns if the signal does not end
// the process.
func Raise(sig syscall.Signal) {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // an error means only that there may be a dump
	setActions(0, sig)
	// it returns only if the signal is blocked
	_ = unix.Tgkill(syscall.Getpid(), unix.Gettid(), sig)
}

// RaiseGroup sends a signal to the other processes of this one's group.
func RaiseGroup(sig syscall.Signal) {
	before := setActions(sigIgn, sig)
	_ = syscall.Kill(0, sig) // this process receives it too
	before.restore()
}
