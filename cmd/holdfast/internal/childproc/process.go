package childproc

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// Process is a command that runs.
type Process struct {
	r      *Runner
	pid    int // of the command and of its group
	hold   Hold
	grace  time.Duration
	exited chan struct{} // closed when the command has ended and was reaped

	// Guarded by the runner's mutex.
	status  syscall.WaitStatus // once exited is closed
	reaped  bool
	gone    bool // nothing of the group is left, its number may be another's
	stopped bool
	front   bool // it had the terminal when it ended
}

// Result is how a command ended.
type Result struct {
	Status int            // in the way of shells: the exit status, or 128 and the signal that has killed it
	Signal syscall.Signal // that has killed it, or 0
	Lost   bool           // the hold was lost, or about to be, and the group was ended
	// Keyboard is true when the signal came from the terminal for all that run in front of it. This process's own group
	// has not got it.
	Keyboard bool
}

// Signal sends a signal to the whole group, while there is one.
func (p *Process) Signal(s os.Signal) {
	sig, ok := s.(syscall.Signal)
	if !ok || sig == syscall.SIGCONT && !p.valid() { // a hold that is over is no reason to go on
		return
	}
	if err := p.send(sig); errors.Is(err, syscall.EPERM) {
		p.r.warn("cannot pass %v on to the command: %v", sig, err)
		// From the keyboard the kernel may do it.
		select {
		case p.r.calls <- func() { p.r.lend(p) }:
		default:
		}
	}
}

// send sends a signal to the group. It is ESRCH for good once there is nothing left of it.
func (p *Process) send(sig syscall.Signal) error {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	return p.sendLocked(sig)
}

func (p *Process) sendLocked(sig syscall.Signal) error {
	if p.gone {
		return syscall.ESRCH
	}
	err := syscall.Kill(-p.pid, sig)
	switch {
	case errors.Is(err, syscall.ESRCH) && p.reaped:
		p.gone = true
	case err == nil && sig == syscall.SIGCONT:
		p.stopped = false
	}
	return err
}

// valid tells whether the hold lasts, by the clock too: nobody may have had the time to say that it is over.
func (p *Process) valid() bool {
	select {
	case <-p.hold.Done():
		return false
	default:
		return time.Until(p.hold.Deadline()) > 0
	}
}

// Wait waits until the command has ended. If the hold is lost before, or is about to be, it ends the whole group first.
// What the command has left in its group otherwise goes on.
func (p *Process) Wait() Result {
	lost := !p.lasts()
	if lost {
		p.end()
	}
	<-p.exited
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.gone = true
	res := Result{Status: p.status.ExitStatus(), Lost: lost}
	if p.status.Signaled() {
		res.Signal = p.status.Signal()
		res.Status = 128 + int(res.Signal)
		res.Keyboard = p.front && (res.Signal == syscall.SIGINT || res.Signal == syscall.SIGQUIT)
	}
	return res
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
			left := time.Until(p.hold.Deadline()) - p.grace
			if left <= 0 {
				return false
			}
			t.Reset(min(left, lookEvery))
		}
	}
}

const (
	// pollEvery is how often end looks whether the group is gone: the end of a grandchild is not reported.
	pollEvery = 5 * time.Millisecond
	// killBefore is how long before the deadline SIGKILL is sent: the kernel needs a moment, and so does a warning.
	killBefore = 100 * time.Millisecond
)

// end ends the group: SIGTERM, and SIGKILL when the grace is over, or the lease about to be. It returns when the group is
// gone, or when the deadline has passed and a warning was printed. A command whose hold has ended while it was stopped
// gets SIGKILL at once, because SIGTERM would be delivered only by letting it go on.
func (p *Process) end() {
	deadline := p.hold.Deadline()
	left := time.Until(deadline)
	warned := false
	if left > 0 {
		warned = p.complain(p.send(syscall.SIGTERM), deadline)
		_ = p.send(syscall.SIGCONT) // or a stopped process would not get it
	}
	kill := time.NewTimer(min(p.grace, left-min(killBefore, p.grace/4)))
	defer kill.Stop()
	late := time.NewTimer(max(left, 0) + killBefore)
	defer late.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-kill.C:
			if err := p.send(syscall.SIGKILL); !warned {
				warned = p.complain(err, deadline)
			}
		case <-late.C:
			if err := p.send(0); !warned && !errors.Is(err, syscall.ESRCH) {
				p.r.warn("the command does not end, though it was killed; another may have the hold already")
			}
			return
		case <-poll.C:
			if errors.Is(p.send(0), syscall.ESRCH) {
				return
			}
		}
	}
}

// complain says in time that the command cannot be ended.
func (p *Process) complain(err error, deadline time.Time) bool {
	if !errors.Is(err, syscall.EPERM) {
		return false
	}
	when := "now"
	if time.Until(deadline) > 0 {
		when = deadline.Round(time.Millisecond).Format("15:04:05.000")
	}
	p.r.warn("cannot end the command (process group %d): %v; it runs on, and another may get the hold at %s", p.pid, err, when)
	return true
}
