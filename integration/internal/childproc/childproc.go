// Package childproc runs server programs as child processes of a test, which die with it.
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

// A Process is one run of a server program.
type Process struct {
	pid    int
	handle *os.Process
	exited chan struct{}
	err    error // set before exited is closed
}

// Start starts a program whose output is appended to the file at logPath. It is the caller's to end by Kill, or by
// Signal and waiting for Exited.
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
		// The parent-death signal is sent when the thread that forked ends, not
		// the process, so this goroutine keeps its thread until the child is
		// gone.
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

// Exited is closed when the process is gone and reaped.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err tells how the process ended, once Exited is closed.
func (p *Process) Err() error { return p.err }

// Signal sends a signal and takes a process that has ended as success.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to process %d: %w", s, p.pid, err)
	}
	return nil
}

// Kill ends the process at once and waits until it is gone.
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

// serverEnv is the environment without the variables etcd reads as flags.
func serverEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ETCD_") {
			env = append(env, v)
		}
	}
	return env
}
