//go:build unix

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
	status      syscall.WaitStatus // set before exited is closed
	reaped      bool
	groupEmpty  bool // the number of the group may be reused
	stopped     bool
	hadTerminal bool // when it ended
}

// Signal sends a signal to the whole group. It does nothing after Wait has returned, and does not
// continue a command whose hold is over.
func (p *Process) Signal(s os.Signal) {
	sig, ok := s.(syscall.Signal)
	if !ok || sig == syscall.SIGCONT && !p.holdValid() {
		return
	}
	if err := p.send(sig); errors.Is(err, syscall.EPERM) {
		p.r.warn("cannot pass %v on to the command: %v", sig, err)
		// If the command has the terminal, the kernel can send it signals of the keyboard.
		select {
		case p.r.calls <- func() { p.r.giveTerminal(p) }:
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
	if p.groupEmpty {
		return syscall.ESRCH
	}
	err := syscall.Kill(-p.pid, sig)
	switch {
	case errors.Is(err, syscall.ESRCH) && p.reaped:
		p.groupEmpty = true
	case err == nil && sig == syscall.SIGCONT:
		p.stopped = false
	}
	return err
}
