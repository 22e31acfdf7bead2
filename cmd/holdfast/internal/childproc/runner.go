//go:build unix

package childproc

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

// Runner starts commands and is their parent. Its methods are safe for concurrent use. One
// goroutine changes the terminal and reaps children, because the order of these steps matters.
type Runner struct {
	warn       func(format string, args ...any)
	calls      chan func()
	quit       chan struct{}
	done       chan struct{}
	child      chan os.Signal // SIGCHLD
	stops      chan os.Signal // SIGTSTP
	tty        *terminal      // nil without a terminal
	foreground *Process       // the command that has the terminal; only for the goroutine

	// Held while a group is signalled or a child reaped, because the kernel reuses process numbers.
	mu    sync.Mutex
	procs map[int]*Process
}

// NewRunner returns a runner, which receives SIGCHLD and SIGTSTP. It reports problems to warn.
// Close must be called.
func NewRunner(warn func(format string, args ...any)) *Runner {
	r := &Runner{
		warn:  warn,
		calls: make(chan func(), 16), quit: make(chan struct{}), done: make(chan struct{}),
		child: make(chan os.Signal, 1), stops: make(chan os.Signal, 1),
		tty: openTerminal(), procs: map[int]*Process{},
	}
	signal.Notify(r.child, syscall.SIGCHLD)
	if !signal.Ignored(syscall.SIGTSTP) {
		signal.Notify(r.stops, syscall.SIGTSTP)
	}
	adoptOrphans()
	go r.run()
	return r
}

// Close ends the runner. All commands must have ended.
func (r *Runner) Close() {
	close(r.quit)
	<-r.done
}

func (r *Runner) run() {
	defer close(r.done)
	// The parent-death signal is sent when the thread that forked the child ends, even if the
	// process continues.
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
			r.handleStops(r.reap())
		case <-r.stops:
			r.suspend(syscall.SIGTSTP)
		case <-r.quit:
			return
		}
	}
}

// Start starts a command. Wait must be called after a success. Start returns [ErrHoldEnded] if the
// hold has ended, and an error of package os or os/exec if the command cannot be started.
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

// start runs in the runner's goroutine, so that no child is reaped before it is registered.
func (r *Runner) start(p *Process, path string, c Command) error {
	if !p.holdValid() { // for example because this process was stopped meanwhile
		return ErrHoldEnded
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(attr)
	takesTerminal := r.foreground == nil && r.tty.freeFor(c.Stdin, c.Stdout, c.Stderr)
	if takesTerminal {
		attr.Foreground, attr.Ctty = true, r.tty.fd
	}
	stops := allowTerminalStops() // else the command would inherit that they are ignored
	child, err := os.StartProcess(path, c.Args, &os.ProcAttr{
		Env: c.Env, Files: []*os.File{c.Stdin, c.Stdout, c.Stderr}, Sys: attr,
	})
	stops.restore()
	if err != nil {
		if takesTerminal { // the child may have taken the terminal before it failed
			r.tty.setForeground(syscall.Getpgrp())
		}
		return err
	}
	p.pid = child.Pid
	_ = child.Release() // it is reaped by its number
	r.mu.Lock()
	defer r.mu.Unlock()
	r.procs[p.pid] = p
	if takesTerminal {
		r.foreground = p
	}
	return nil
}
