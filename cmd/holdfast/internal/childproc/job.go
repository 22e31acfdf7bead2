package childproc

import (
	"syscall"
	"time"
)

// settle does what a shell does when its jobs stop. Whatever stops for the terminal gets it, if it is for this process to
// lend. A command that is stopped in front of the terminal stops this process too. Others were stopped by hand.
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

// lend makes the command's group the one that the terminal is for, and lets it go on.
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
	_ = p.sendLocked(syscall.SIGCONT) // its end is seen elsewhere
	return true
}

// returnTerminal takes the terminal back from a command that has ended, for the next one that stopped for it.
func (r *Runner) returnTerminal(p *Process) {
	if r.front != p {
		return
	}
	r.front = nil
	r.tty.give(syscall.Getpgrp())
	r.resume(nil) // who still wants the terminal stops for it again
}

// stopPatience is how long commands have to stop on SIGTSTP. One that does not is one that refuses.
const stopPatience = time.Second

// suspend stops all commands and then this process, with its group, and goes on when a shell says so. If a command
// refuses, neither stops. It does not stop either where no shell could continue it, that is, in an orphaned group: the
// kernel knows that, and ignores the signal.
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
		_ = p.send(syscall.SIGSTOP) // the rest of the group, which may have ignored the other
	}
	front := r.front
	if front != nil {
		r.front = nil
		r.tty.give(syscall.Getpgrp())
	}
	stopSelf(sig)
	if sig != syscall.SIGTSTP && !r.tty.mine() && orphaned() {
		// Nobody will ever give it the terminal. The kernel's way to say so to stopped processes is SIGHUP.
		for _, p := range all {
			_ = p.send(syscall.SIGHUP)
		}
		r.warn("the command needs the terminal, which is another's; it got a hang-up signal")
	}
	r.resume(front)
}

// resume lets all commands go on whose hold lasts, front with the terminal. The others stay stopped until Wait kills them.
func (r *Runner) resume(front *Process) {
	if front != nil && front.valid() {
		r.lend(front)
	}
	for _, p := range r.running() {
		if p.valid() {
			_ = p.send(syscall.SIGCONT) // of one that has ended
		}
	}
}

func (r *Runner) isStopped(p *Process) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.stopped || p.reaped
}

// awaitStopped waits until all the commands have stopped or ended.
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
