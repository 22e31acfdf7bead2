//go:build unix

package childproc

import (
	"syscall"
	"time"
)

// handleStops acts like a shell when its jobs stop. A command that stopped because it needs the
// terminal gets it if this process can lend it. If a command that has the terminal stops, this
// process stops too. Other commands were stopped by hand and stay so.
func (r *Runner) handleStops(stops []stop) {
	for _, s := range stops {
		switch s.sig {
		case syscall.SIGTTIN, syscall.SIGTTOU:
			if r.foreground == s.p || r.foreground == nil && !r.giveTerminal(s.p) {
				r.suspend(s.sig)
			}
		default:
			if r.foreground == s.p {
				r.suspend(syscall.SIGTSTP)
			}
		}
	}
}

// giveTerminal makes the command's group the foreground group of the terminal and continues it.
func (r *Runner) giveTerminal(p *Process) bool {
	if r.foreground != nil || !r.tty.isForeground() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.reaped {
		return true
	}
	r.tty.setForeground(p.pid)
	r.foreground = p
	_ = p.sendLocked(syscall.SIGCONT) // its end is noticed elsewhere
	return true
}

// returnTerminal takes the terminal back from a command that has ended, for the next command that
// needs it.
func (r *Runner) returnTerminal(p *Process) {
	if r.foreground != p {
		return
	}
	r.foreground = nil
	r.tty.setForeground(syscall.Getpgrp())
	r.resume(nil) // a command that still needs the terminal stops again
}

// stopTimeout is how long commands have to stop on SIGTSTP. A command that takes longer refuses to
// stop.
const stopTimeout = time.Second

// suspend stops all commands and then this process with its group, until a shell continues it. If a
// command refuses to stop, everything continues. In an orphaned group no shell could continue it,
// so this process does not stop there: the kernel ignores the signal.
func (r *Runner) suspend(sig syscall.Signal) {
	all := r.running()
	for _, p := range all {
		if !r.isStopped(p) {
			_ = p.send(syscall.SIGTSTP) // awaitStopped sees the outcome
		}
	}
	if !r.awaitStopped(all) {
		r.resume(nil)
		return
	}
	for _, p := range all {
		_ = p.send(syscall.SIGSTOP) // the rest of the group, which may have ignored SIGTSTP
	}
	front := r.foreground
	if front != nil {
		r.foreground = nil
		r.tty.setForeground(syscall.Getpgrp())
	}
	stopSelf(sig)
	if sig != syscall.SIGTSTP && !r.tty.isForeground() && orphaned() {
		// No shell will ever give it the terminal. The kernel sends SIGHUP to stopped processes in
		// this case.
		for _, p := range all {
			_ = p.send(syscall.SIGHUP)
		}
		r.warn("the command needs the terminal, which is another's; it got a hang-up signal")
	}
	r.resume(front)
}

// resume continues all commands whose hold is valid, front with the terminal. The others stay
// stopped until Wait kills them.
func (r *Runner) resume(front *Process) {
	if front != nil && front.holdValid() {
		r.giveTerminal(front)
	}
	for _, p := range r.running() {
		if p.holdValid() {
			_ = p.send(syscall.SIGCONT) // it may have ended
		}
	}
}

func (r *Runner) isStopped(p *Process) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.stopped || p.reaped
}

// awaitStopped waits until all the commands have stopped or ended. It returns false if one has not
// within stopTimeout.
func (r *Runner) awaitStopped(all []*Process) bool {
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	for {
		r.reap()
		waiting := false
		for _, p := range all {
			waiting = waiting || !r.isStopped(p)
		}
		if !waiting {
			return true
		}
		select {
		case <-r.child:
		case <-late.C:
			return false
		}
	}
}
