//go:build unix && !linux

package childproc

import (
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// Raise ends this process by a signal. It returns if Go's runtime would print a trace for that
// signal.
func Raise(sig syscall.Signal) {
	if !slices.Contains([]syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL,
	}, sig) {
		return
	}
	signal.Reset(sig)
	if syscall.Kill(syscall.Getpid(), sig) == nil {
		time.Sleep(time.Second) // another thread may receive it
	}
}

// RaiseGroup sends a signal to the other processes of this one's group.
func RaiseGroup(sig syscall.Signal) {
	signal.Ignore(sig)
	_ = syscall.Kill(0, sig) // this process receives it too
}
