package childproc

import (
	"syscall"
	"time"
)

// settle acts like a shell when its jobs stop. A command that stopped because it needs the terminal
// gets it if this process can lend it. If a command that has the terminal stops, this process stops
// too. Other commands were stopped by hand and stay so.
func (r *Runner) settle(stops []stop) {
	for _, s := range stops {
		switch s.sig {
		case syscall.SIGTTIN, syscall.SIGTTOU:
			if r.front == s.p || r.front == nil && !r.lend(s.p) {
				r.suspend(s.sig)
			}
		default:
			if r.front == s.p {
				r.suspend(syscall.SIGTSTP)
			}
		}
	}
}

// lend makes the command's group the foreground group of the terminal and continues it.
func (r *Runner) lend(p *Process) bool {
	if r.front != nil || !r.tty.mine() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.reaped {
		return true
	}
	r.tty.give(p.pid)
	r.front = p
	_ = p.sendLocked(syscall.SIGCONT) // its end is noticed elsewhere
	return true
}

// returnTerminal takes the terminal back from a command that has ended, for the next command that
// needs it.
func (r *Runner) returnTerminal(p *Process) {
	if r.front != p {
		return
	}
	r.front = nil
	r.tty.give(syscall.Getpgrp())
	r.resume(nil) // a command that still needs the terminal stops again
}

// stopPatience is how long commands have to stop on SIGTSTP. A command that takes longer refuses to
// stop.
const stopPatience = time.Second

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
	front := r.front
	if front != nil {
		r.front = nil
		r.tty.give(syscall.Getpgrp())
	}
	stopSelf(sig)
	if sig != syscall.SIGTSTP && !r.tty.mine() && orphaned() {
		// No shell will ever give it the terminal. The kernel sends SIGHUP to stopped processes in
		// this case.
		for _, p := range all {
			_ = p.send(syscall.SIGHUP)
		}
		r.warn("the command needs the terminal, which is another's; it got a hang-up signal")
	}
	r.resume(front)
}

// resume continues all commands whose hold lasts, front with the terminal. The others stay stopped
// until Wait kills them.
func (r *Runner) resume(front *Process) {
	if front != nil && front.valid() {
		r.lend(front)
	}
	for _, p := range r.running() {
		if p.valid() {
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
// within stopPatience.
func (r *Runner) awaitStopped(all []*Process) bool {
	late := time.NewTimer(stopPatience)
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
