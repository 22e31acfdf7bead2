package main

import (
	"errors"
	"os"
	"os/exec"
)

// replaceProcess runs a command and returns its exit status, because Windows cannot replace a
// process. The console sends Ctrl-C to both.
func replaceProcess(path string, argv []string) error {
	cmd := &exec.Cmd{
		Path: path, Args: argv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &childError{status: exit.ExitCode()}
	}
	return cannotRun(argv[0], err)
}
