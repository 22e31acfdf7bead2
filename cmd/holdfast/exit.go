package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// The statuses to exit with: those of sysexits.h where they fit, and those of shells for what has to do with commands.
const (
	codeNo          = 1   // not acquired, nobody there, something found
	codeUsage       = 64  // EX_USAGE
	codeUnavailable = 69  // EX_UNAVAILABLE
	codeFailed      = 70  // EX_SOFTWARE
	codeLost        = 75  // EX_TEMPFAIL: lost while it was held
	codeDenied      = 77  // EX_NOPERM
	codeCannotRun   = 126 // the command is there, and cannot be run
	codeNotFound    = 127 // there is no such command
	codeSignal      = 128 // and the number of the signal
)

// errNotInTime: what was waited for did not come within --wait.
var errNotInTime = errors.New("not in time")

// noAnswerError: etcd did not answer within --command-timeout, or what --wait has left of it.
type noAnswerError struct{ limit time.Duration }

func (e *noAnswerError) Error() string { return fmt.Sprintf("no answer from etcd within %v", e.limit) }

// exitError is an error with a status of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usagef is an error of whoever typed the line; it says what to type.
func usagef(format string, args ...any) error {
	return &exitError{codeUsage, fmt.Errorf(format, args...)}
}

// nof is an answer, and the answer is no.
func nof(format string, args ...any) error {
	return &exitError{codeNo, fmt.Errorf(format, args...)}
}

// childError is the status of a command, passed through without a word.
type childError struct {
	status   int
	signal   syscall.Signal // that has killed it, or 0
	keyboard bool           // this process's group has not got that signal
}

func (e *childError) Error() string { return fmt.Sprintf("the command ended with status %d", e.status) }

// codeOf is the status to exit with.
func codeOf(err error) int {
	var (
		exit   *exitError
		child  *childError
		signal *signalled
		server *gateway.Error
		late   *noAnswerError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &child):
		return child.status
	case unread(err):
		return codeSignal + int(syscall.SIGPIPE) // what a program is ended by that does not ask
	case errors.As(err, &signal):
		return codeSignal + int(signal.signal)
	case errors.Is(err, errNotInTime):
		return codeNo
	case errors.Is(err, gateway.ErrUnauthenticated), errors.Is(err, gateway.ErrPermissionDenied):
		return codeDenied
	case errors.Is(err, gateway.ErrInvalid), errors.Is(err, semaphore.ErrLimitMismatch), errors.Is(err, semaphore.ErrExceedsLimit),
		errors.Is(err, barrier.ErrConfigMismatch):
		return codeUsage
	case errors.As(err, &late), errors.Is(err, session.ErrLost), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &server):
		return codeUnavailable
	}
	return codeFailed
}
