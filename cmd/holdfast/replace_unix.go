//go:build unix

package main

import (
	"os"
	"syscall"
)

// replaceProcess replaces this process by a command. It returns if it cannot.
func replaceProcess(path string, argv []string) error {
	//nolint:gosec // the user's own command
	return cannotRun(argv[0], syscall.Exec(path, argv, os.Environ()))
}
