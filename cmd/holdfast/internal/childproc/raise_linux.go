package childproc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Raise ends this process by a signal, without a dump of its memory. It returns if the kernel does not do it.
func Raise(sig syscall.Signal) {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // at worst there is a dump
	set(0, sig)
	_ = unix.Tgkill(syscall.Getpid(), unix.Gettid(), sig) // it returns only if the signal is blocked
}

// RaiseGroup sends a signal to the other processes of this one's group.
func RaiseGroup(sig syscall.Signal) {
	before := set(sigIgn, sig)
	_ = syscall.Kill(0, sig) // this process is among those that get it
	before.restore()
}
