//go:build unix && !linux

package childproc

import (
	"os/signal"
	"syscall"
)

type actions struct{}

func (actions) restore() {}

// ignoreTerminalStops also applies to the commands, because only Linux can undo it.
func ignoreTerminalStops() actions {
	signal.Ignore(syscall.SIGTTIN, syscall.SIGTTOU)
	return actions{}
}

func allowTerminalStops() actions { return actions{} }

// stopSelf stops this process's group by SIGSTOP, the only signal that always does.
func stopSelf(syscall.Signal) { _ = syscall.Kill(0, syscall.SIGSTOP) }

func adoptOrphans() {}

func orphaned() bool { return false }
