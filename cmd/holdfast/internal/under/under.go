// Package under runs a command under a hold: for no longer than the hold lasts, with all the processes that it starts.
//
// The command is the leader of a process group of its own. When the hold ends, or is about to, the group gets SIGTERM,
// and SIGKILL in time to be gone before the lease is. What leaves the group, as daemons do, is not reached.
package under

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Hold is what the command runs under.
type Hold interface {
	// Done is closed when the hold is lost.
	Done() <-chan struct{}
	// Deadline is when the hold ends unless it is renewed before.
	Deadline() time.Time
}

// Command is what to run.
type Command struct {
	Args  []string
	Env   []string // in place of this process's
	Stdin io.Reader
	// Stdout and Stderr should be files: else Wait also waits for whoever else has inherited them.
	Stdout, Stderr io.Writer
	// Grace is how long the group has between SIGTERM and SIGKILL. While no renewal is acknowledged, the SIGTERM comes
	// this long before the deadline.
	Grace time.Duration
}

// Process is a command that runs.
type Process struct {
	cmd      *exec.Cmd
	hold     Hold
	grace    time.Duration
	terminal *terminal
	exited   chan struct{} // closed when the command has ended and was waited for
	err      error         // of Wait; set before exited is closed

	mu   sync.Mutex
	gone bool // the group's number may be somebody else's
}

// Start starts the command. Wait must be called.
func Start(c Command, hold Hold) (*Process, error) {
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:noctx // it is ended with its group, see Wait
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Stdin, c.Stdout, c.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	p := &Process{cmd: cmd, hold: hold, grace: c.Grace, terminal: takeTerminal(cmd), exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent-death signal comes when the thread that has forked ends, not the process: keep it until the child
		// is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		if p.terminal != nil {
			p.terminal.give(syscall.Getpgrp())
		}
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Signal sends a signal to the whole group, while there is one.
func (p *Process) Signal(s os.Signal) {
	if s, ok := s.(syscall.Signal); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.alive(s)
	}
}

// alive sends a signal, and tells whether anybody was there to get it. Once nobody was, nobody will be: numbers of groups
// are used again.
func (p *Process) alive(s syscall.Signal) bool {
	p.gone = p.gone || errors.Is(syscall.Kill(-p.cmd.Process.Pid, s), syscall.ESRCH)
	return !p.gone
}

func (p *Process) has(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive(s)
}

// Status is how the command ended, in the way of shells: its exit status, or 128 and the signal that killed it.
func Status(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// Wait waits until the command has ended and returns its status. If the hold is lost before, or is about to be, it ends
// the whole group first, and stopped is true. What the command has left in its group otherwise goes on.
func (p *Process) Wait() (status int, stopped bool, err error) {
	if stopped = !p.lasts(); stopped {
		p.stop()
	}
	<-p.exited
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	var exit *exec.ExitError
	if err = p.err; errors.As(err, &exit) {
		err = nil // the status says it
	}
	return Status(p.cmd.ProcessState), stopped, err
}

// lookEvery is how often the clock is looked at, at least: timers stand still while the machine sleeps.
const lookEvery = time.Second

// lasts waits until the command has ended, which is true, or until it must be.
func (p *Process) lasts() bool {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-p.exited:
			return true
		case <-p.hold.Done():
			return false
		case <-t.C:
			p.suspend()
			left := time.Until(p.hold.Deadline()) - p.grace
			if left <= 0 {
				return false
			}
			t.Reset(min(left, lookEvery))
		}
	}
}

// pollEvery is how often it is looked whether the group is gone: nobody tells of the end of a grandchild.
const pollEvery = 5 * time.Millisecond

// stop ends the group: SIGTERM, and SIGKILL when the grace is over, or the lease about to be.
func (p *Process) stop() {
	left := min(p.grace, time.Until(p.hold.Deadline()))
	p.has(syscall.SIGTERM)
	p.has(syscall.SIGCONT) // or what is stopped would not get it
	kill := time.NewTimer(left)
	defer kill.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-kill.C:
			p.has(syscall.SIGKILL)
			return
		case <-poll.C:
			if !p.has(0) {
				return
			}
		}
	}
}
