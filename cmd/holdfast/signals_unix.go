//go:build unix

package main

import (
	"slices"
	"syscall"
)

// allSignals are all signals that are forwarded to a running command.
var allSignals = append(slices.Clone(endSignals), syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGCONT)

// brokenPipes are the errors of a write to a pipe that its reader has closed.
var brokenPipes = []syscall.Errno{syscall.EPIPE}
