//go:build unix && !linux

package childproc

import (
	"os/signal"
	"syscall"
)

type actions struct{}

func (actions) restore() {}

// ignoreTerminalStops also keeps the commands from being stopped: only Linux can undo it.
func ignoreTerminalStops() actions {
	signal.Ignore(syscall.SIGTTIN, syscall.SIGTTOU)
	return actions{}
}

func allowTerminalStops() actions { return actions{} }

// stopSelf stops this process's group, which only SIGSTOP does for sure.
func stopSelf(syscall.Signal) { _ = syscall.Kill(0, syscall.SIGSTOP) }

func adoptOrphans() {}

func orphaned() bool { return false }
