package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/shard"
)

// The exit statuses: from sysexits.h where one fits, and from shells for statuses of commands.
const (
	codeNo          = 1   // not acquired, nobody there, doctor found a fault
	codeUsage       = 64  // EX_USAGE
	codeUnavailable = 69  // EX_UNAVAILABLE
	codeFailed      = 70  // EX_SOFTWARE
	codeLost        = 75  // EX_TEMPFAIL: lost while it was held
	codeDenied      = 77  // EX_NOPERM
	codeCannotRun   = 126 // the command exists but cannot be run
	codeNotFound    = 127 // the command does not exist
	codeSignal      = 128 // plus the number of the signal
)

// noAnswerError reports that etcd did not answer within limit: --command-timeout, or less if --wait
// has less left.
type noAnswerError struct{ limit time.Duration }

func (e *noAnswerError) Error() string {
	return fmt.Sprintf("no answer from etcd within %v", e.limit)
}

// exitError is an error with its own exit status.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usagef returns an error in the command line, whose text names the words to type.
func usagef(format string, args ...any) error {
	return &exitError{codeUsage, fmt.Errorf(format, args...)}
}

// nof returns an error with the status codeNo: the answer to the verb's question is no.
func nof(format string, args ...any) error {
	return &exitError{codeNo, fmt.Errorf(format, args...)}
}

// lostf returns an error with the status codeLost.
func lostf(format string, args ...any) error {
	return &exitError{codeLost, fmt.Errorf(format, args...)}
}

func isLost(err error) bool {
	exit, ok := errors.AsType[*exitError](err)
	return ok && exit.code == codeLost
}

// childError carries the exit status of a command. It is passed on without a message.
type childError struct {
	status   int
	signal   syscall.Signal // the signal that killed it, or 0
	keyboard bool           // this process's group has not received the signal
}

// childFailed is the text of a childError, which once stores for other processes.
const childFailed = "the command ended with status %d"

func (e *childError) Error() string { return fmt.Sprintf(childFailed, e.status) }

// codeOf returns the exit status for an error.
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
	case outputClosed(err):
		return codeSignal + int(syscall.SIGPIPE) // the status of a program that SIGPIPE kills
	case errors.As(err, &signal):
		return codeSignal + int(signal.signal)
	case errors.Is(err, errNotInTime):
		return codeNo
	case errors.Is(err, gateway.ErrUnauthenticated), errors.Is(err, gateway.ErrPermissionDenied):
		return codeDenied
	case errors.Is(err, gateway.ErrInvalid), errors.Is(err, semaphore.ErrLimitMismatch),
		errors.Is(err, semaphore.ErrExceedsLimit),
		errors.Is(err, barrier.ErrConfigMismatch), errors.Is(err, cron.ErrScheduleMismatch),
		errors.Is(err, shard.ErrMismatch):
		return codeUsage
	case errors.As(err, &late), errors.Is(err, session.ErrLost),
		errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &server):
		return codeUnavailable
	}
	return codeFailed
}
