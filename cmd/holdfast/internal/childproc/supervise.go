//go:build unix

package childproc

import (
	"errors"
	"syscall"
	"time"
)

// The states of a command, which Wait leads it through:
//
//	          the command exits
//	running -------------------------------------------+
//	   |                                               |
//	   | the hold is lost, or no renewal was           |
//	   | acknowledged until a grace before             |
//	   | the deadline                                  v
//	   v                        the group is empty
//	terminating: SIGTERM ----------------------------> ended
//	   |                                               ^
//	   | the grace is over, or the deadline is near    |
//	   v                        the group is empty     |
//	killed: SIGKILL -----------------------------------+
//
// If the deadline has passed when the loss is noticed, for example because this process was
// stopped, the command is killed at once. If the group is not empty shortly after the deadline,
// Wait prints a warning, and waits for the command alone.

// Wait waits until the command has ended. If the hold is lost before, or is about to be, Wait ends
// the whole group first. Otherwise processes that the command left in its group continue.
func (p *Process) Wait() Result {
	lost := p.awaitExitOrLoss()
	if lost {
		p.terminate()
	}
	<-p.exited
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.groupEmpty = true // no signal may be sent any more
	res := Result{Status: p.status.ExitStatus(), Lost: lost}
	if p.status.Signaled() {
		res.Signal = p.status.Signal()
		res.Status = 128 + int(res.Signal)
		fromKeyboard := res.Signal == syscall.SIGINT || res.Signal == syscall.SIGQUIT
		res.Keyboard = p.hadTerminal && fromKeyboard
	}
	return res
}

// terminate sends SIGTERM to the group, and SIGKILL after the grace or shortly before the deadline.
// It returns when the group is empty, or after the deadline with a warning. After the deadline it
// sends SIGKILL at once: SIGTERM would reach a stopped command only by continuing it.
func (p *Process) terminate() {
	deadline := p.hold.Deadline()
	left := time.Until(deadline)
	warned := false
	if left > 0 {
		warned = p.warnIfDenied(p.send(syscall.SIGTERM), deadline)
		_ = p.send(syscall.SIGCONT) // else a stopped process would not receive SIGTERM
	}
	kill := time.NewTimer(min(p.grace, left-min(killMargin, p.grace/4)))
	defer kill.Stop()
	late := time.NewTimer(max(left, 0) + killMargin)
	defer late.Stop()
	poll := time.NewTicker(groupInterval)
	defer poll.Stop()
	for {
		select {
		case <-kill.C:
			if err := p.send(syscall.SIGKILL); !warned {
				warned = p.warnIfDenied(err, deadline)
			}
		case <-late.C:
			if err := p.send(0); !warned && !errors.Is(err, syscall.ESRCH) {
				p.r.warn("the command does not end although it was killed; another process may " +
					"have the hold already")
			}
			return
		case <-poll.C:
			if errors.Is(p.send(0), syscall.ESRCH) {
				return
			}
		}
	}
}

// warnIfDenied prints a warning if err shows that this user may not signal the command.
func (p *Process) warnIfDenied(err error, deadline time.Time) (warned bool) {
	if !errors.Is(err, syscall.EPERM) {
		return false
	}
	when := "now"
	if time.Until(deadline) > 0 {
		when = deadline.Round(time.Millisecond).Format("15:04:05.000")
	}
	p.r.warn("cannot end the command (process group %d): %v; it continues, and another process "+
		"may have the hold at %s", p.pid, err, when)
	return true
}
