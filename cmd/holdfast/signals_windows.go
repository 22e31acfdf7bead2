package main

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// allSignals are the signals that Go's runtime makes of the events of a console: Ctrl-C and
// Ctrl-Break are SIGINT; the end of the console, of the session and of the system are SIGTERM.
var allSignals = endSignals

// brokenPipes are the errors of a write to a pipe that its reader has closed.
var brokenPipes = []syscall.Errno{
	syscall.EPIPE, windows.ERROR_BROKEN_PIPE, windows.ERROR_NO_DATA,
}
