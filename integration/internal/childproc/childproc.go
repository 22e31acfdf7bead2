// Package childproc runs server programs as child processes that end with the test process.
//
// # Limitations
//
// Only Linux ends the children of a process that is killed.
//
// # Concurrency
//
// A Process is safe for concurrent use.
package childproc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// A Process is one run of a server program. Its methods are safe for concurrent use.
type Process struct {
	pid    int
	handle *os.Process
	exited chan struct{}
	err    error // set before exited is closed
}

// Start starts a program and appends its output to the file at logPath. The caller ends it by Kill,
// or by Signal and waiting for Exited. Start returns an error if the file cannot be opened or the
// program cannot be started.
func Start(path string, args []string, logPath string) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	cmd := exec.Command(path, args...)
	cmd.Env = serverEnv()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()

	p := &Process{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the parent-death signal when the thread that forked ends, not when the
		// process ends. Therefore this goroutine keeps its thread until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.handle, p.pid = cmd.Process, cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// PID returns the id of the process.
func (p *Process) PID() int { return p.pid }

// Exited returns a channel that is closed when the process has ended and is reaped.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err returns the result of the process: nil, or usually an *exec.ExitError. It may be called only
// after Exited is closed.
func (p *Process) Err() error { return p.err }

// Signal sends a signal. It does nothing if the process has ended. It returns an error if the
// signal cannot be sent.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to process %d: %w", s, p.pid, err)
	}
	return nil
}

// Kill ends the process at once and waits until it has ended. It returns an error if the signal
// cannot be sent.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	return nil
}

// Gone reports whether the process has ended.
func (p *Process) Gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// serverEnv returns the environment without the variables that etcd reads as flags.
func serverEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ETCD_") {
			env = append(env, v)
		}
	}
	return env
}
