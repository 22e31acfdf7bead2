// Package childproc runs commands under holds: for no longer than the hold lasts, with all the processes that they start.
//
// Each command is the leader of a process group of its own. When its hold ends, or is about to, the group gets SIGTERM,
// and SIGKILL in time to be gone before the lease is. A process that leaves the group, as daemons do, is not reached.
//
// A [Runner] starts the commands. It does for them what a shell does for its jobs: it lends them the terminal, and it
// stops with them, because a command must not run on while nothing can end it.
package childproc

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Hold is the hold that a command runs under.
type Hold interface {
	// Done is closed when the hold is lost.
	Done() <-chan struct{}
	// Deadline is when the hold ends unless it is renewed before.
	Deadline() time.Time
}

// Command is the command to run.
type Command struct {
	Args                  []string
	Env                   []string // in place of this process's
	Stdin, Stdout, Stderr *os.File
	// Grace is the time between SIGTERM and SIGKILL. While no renewal is acknowledged, the SIGTERM is sent this long
	// before the deadline.
	Grace time.Duration
}

// Runner starts commands and is their parent. All that changes the terminal or reaps children is done by its one
// goroutine, because the order of these steps matters.
type Runner struct {
	warn  func(format string, args ...any)
	calls chan func()
	quit  chan struct{}
	done  chan struct{}
	child chan os.Signal // SIGCHLD
	stops chan os.Signal // SIGTSTP
	tty   *terminal      // nil without one
	front *Process       // the command that has the terminal; of the goroutine

	mu    sync.Mutex // held while a group is signalled or a child reaped: numbers of processes are used again
	procs map[int]*Process
}

// NewRunner makes a runner, which takes SIGCHLD and SIGTSTP for itself. warn reports what a person should know. Close
// must be called.
func NewRunner(warn func(format string, args ...any)) *Runner {
	r := &Runner{
		warn: warn, calls: make(chan func(), 16), quit: make(chan struct{}), done: make(chan struct{}),
		child: make(chan os.Signal, 1), stops: make(chan os.Signal, 1), tty: openTerminal(), procs: map[int]*Process{},
	}
	signal.Notify(r.child, syscall.SIGCHLD)
	if !signal.Ignored(syscall.SIGTSTP) {
		signal.Notify(r.stops, syscall.SIGTSTP)
	}
	adoptOrphans()
	go r.run()
	return r
}

// Close ends the runner, after all its commands have ended.
func (r *Runner) Close() {
	close(r.quit)
	<-r.done
}

func (r *Runner) run() {
	defer close(r.done)
	// The parent-death signal of a child comes when the thread that has forked it ends, not when the process does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	quiet := ignoreTerminalStops()
	defer quiet.restore()
	defer func() {
		signal.Stop(r.child)
		signal.Stop(r.stops)
		r.tty.close()
	}()
	for {
		select {
		case call := <-r.calls:
			call()
		case <-r.child:
			r.settle(r.reap())
		case <-r.stops:
			r.suspend(syscall.SIGTSTP)
		case <-r.quit:
			return
		}
	}
}

// Start starts a command. Wait must be called. Its error is that of the command, which then has not run.
func (r *Runner) Start(c Command, hold Hold) (*Process, error) {
	path, err := exec.LookPath(c.Args[0])
	if err != nil {
		return nil, err
	}
	p := &Process{r: r, hold: hold, grace: c.Grace, exited: make(chan struct{})}
	started := make(chan error, 1)
	r.calls <- func() { started <- r.start(p, path, c) }
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// start runs in the runner's goroutine, so that no child is reaped before it is known.
func (r *Runner) start(p *Process, path string, c Command) error {
	if !p.valid() { // this process was stopped meanwhile, say
		return ErrOver
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(attr)
	eager := r.front == nil && r.tty.alone(c.Stdin, c.Stdout, c.Stderr)
	if eager {
		attr.Foreground, attr.Ctty = true, r.tty.fd
	}
	stops := allowTerminalStops() // or the command would inherit that they are ignored
	child, err := os.StartProcess(path, c.Args, &os.ProcAttr{
		Env: c.Env, Files: []*os.File{c.Stdin, c.Stdout, c.Stderr}, Sys: attr,
	})
	stops.restore()
	if err != nil {
		if eager { // the child may have taken it before it failed
			r.tty.give(syscall.Getpgrp())
		}
		return err
	}
	p.pid = child.Pid
	_ = child.Release() // it is reaped by its number
	r.mu.Lock()
	defer r.mu.Unlock()
	r.procs[p.pid] = p
	if eager {
		r.front = p
	}
	return nil
}

// ErrOver is the error of Start when the hold has ended before the command began.
var ErrOver = errors.New("the hold ended before the command began")
