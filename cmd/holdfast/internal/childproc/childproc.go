// Package childproc runs commands under holds. It ends a command, and all processes that it
// started, by the time the hold ends.
//
// On Unix each command leads a process group of its own. When its hold ends, or is about to, the
// group receives SIGTERM, and SIGKILL before the lease expires. A process that leaves the group, as
// daemons do, is not ended. On Windows each command has a job object of its own. It receives
// CTRL_BREAK, and then the job is terminated.
//
// A [Runner] starts the commands. On Unix it lends them the terminal like a shell. When it is
// stopped it stops them too, because nothing could end them then. [Process.Wait] ends a command
// whose hold is lost; supervise.go draws the states of a command.
package childproc

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// Hold is the hold under which a command runs. A session.Hold is one.
type Hold interface {
	// Context ends when the hold is lost.
	Context() context.Context
	// Err returns nil while the hold may be relied on. It counts the time in which the machine was
	// asleep, unlike a timer.
	Err() error
	// Deadline returns the time at which the hold ends unless it is renewed before.
	Deadline() time.Time
}

// Command describes a command.
type Command struct {
	Args                  []string
	Env                   []string // replaces this process's environment
	Stdin, Stdout, Stderr *os.File
	// Grace is the time between SIGTERM and SIGKILL. While no renewal is acknowledged, SIGTERM is
	// sent this long before the deadline.
	Grace time.Duration
}

// Result describes how a command ended.
type Result struct {
	Status int            // the exit status, or 128 + n after signal n, as in shells
	Signal syscall.Signal // the signal that killed the command, or 0
	Lost   bool           // the hold was lost, or about to be, and the group was ended
	// Keyboard is true if the terminal sent the signal to its foreground group. This process's own
	// group has not received it then.
	Keyboard bool
}

// ErrHoldEnded is returned by Start when the hold ended before the command started.
var ErrHoldEnded = errors.New("the hold ended before the command began")
