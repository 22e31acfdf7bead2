package childproc

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// Process is a command that was started. Its methods are safe for concurrent use.
type Process struct {
	r      *Runner
	pid    int // number of the command and of its group
	hold   Hold
	grace  time.Duration
	exited chan struct{} // closed when the command has ended and was reaped

	// Guarded by the runner's mutex.
	status  syscall.WaitStatus // set before exited is closed
	reaped  bool
	gone    bool // the group is empty, and its number may be reused
	stopped bool
	front   bool // it had the terminal when it ended
}

// Result describes how a command ended.
type Result struct {
	Status int            // the exit status, or 128 + n after signal n, as in shells
	Signal syscall.Signal // the signal that killed the command, or 0
	Lost   bool           // the hold was lost, or about to be, and the group was ended
	// Keyboard is true if the terminal sent the signal to its foreground group. This process's own
	// group has not received it then.
	Keyboard bool
}

// Signal sends a signal to the whole group. It does nothing after Wait has returned, and does not
// continue a command whose hold is over.
func (p *Process) Signal(s os.Signal) {
	sig, ok := s.(syscall.Signal)
	// a command whose hold is over must not continue
	if !ok || sig == syscall.SIGCONT && !p.valid() {
		return
	}
	if err := p.send(sig); errors.Is(err, syscall.EPERM) {
		p.r.warn("cannot pass %v on to the command: %v", sig, err)
		// If the command has the terminal, the kernel can send it signals of the keyboard.
		select {
		case p.r.calls <- func() { p.r.lend(p) }:
		default:
		}
	}
}

// send sends a signal to the group. It returns ESRCH if the group is empty, and always after that.
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

// valid reports whether the hold lasts. It checks the clock too, because the loss may not have been
// reported yet.
func (p *Process) valid() bool {
	select {
	case <-p.hold.Done():
		return false
	default:
		return time.Until(p.hold.Deadline()) > 0
	}
}

// Wait waits until the command has ended. If the hold is lost before, or is about to be, Wait ends
// the whole group first. Otherwise processes that the command left in its group continue.
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

// lookEvery is the longest time between two looks at the clock, because timers stop while the
// machine sleeps.
const lookEvery = time.Second

// lasts waits for the end of the command, and returns false if the command must be ended first.
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
	// pollEvery is how often end checks whether the group is empty, because the end of a grandchild
	// is not reported.
	pollEvery = 5 * time.Millisecond
	// killBefore is how long before the deadline SIGKILL is sent, because the kernel and a warning
	// need time.
	killBefore = 100 * time.Millisecond
)

// end ends the group: it sends SIGTERM, and SIGKILL after the grace or shortly before the lease
// expires. It returns when the group is empty, or after the deadline with a warning. After the
// deadline it sends SIGKILL at once: SIGTERM would reach a stopped command only by continuing it.
func (p *Process) end() {
	deadline := p.hold.Deadline()
	left := time.Until(deadline)
	warned := false
	if left > 0 {
		warned = p.complain(p.send(syscall.SIGTERM), deadline)
		_ = p.send(syscall.SIGCONT) // else a stopped process would not receive SIGTERM
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
				p.r.warn("the command does not end, though it was killed; another may have the " +
					"hold already")
			}
			return
		case <-poll.C:
			if errors.Is(p.send(0), syscall.ESRCH) {
				return
			}
		}
	}
}

// complain prints a warning if err shows that the command cannot be ended, before the deadline.
func (p *Process) complain(err error, deadline time.Time) bool {
	if !errors.Is(err, syscall.EPERM) {
		return false
	}
	when := "now"
	if time.Until(deadline) > 0 {
		when = deadline.Round(time.Millisecond).Format("15:04:05.000")
	}
	p.r.warn("cannot end the command (process group %d): %v; it runs on, and another may get the "+
		"hold at %s", p.pid, err, when)
	return true
}
