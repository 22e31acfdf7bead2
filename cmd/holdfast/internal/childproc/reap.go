//go:build unix

package childproc

import (
	"errors"
	"syscall"
)

// stop is a command that a signal stopped.
type stop struct {
	p   *Process
	sig syscall.Signal
}

// reap processes all changes of the kernel's children: of commands, and of orphans, which this
// process adopts. It returns the commands that have stopped.
func (r *Runner) reap() (stops []stop) {
	for {
		p, status, ok := r.nextChange()
		switch {
		case !ok:
			return stops
		case p == nil: // an orphan
		case status.Stopped():
			stops = append(stops, stop{p, status.StopSignal()})
		case !status.Continued():
			r.returnTerminal(p)
			close(p.exited)
		}
	}
}

// nextChange returns the next change of a child's state.
func (r *Runner) nextChange() (p *Process, status syscall.WaitStatus, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := 0, error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		pid, err = syscall.Wait4(-1, &status, syscall.WNOHANG|syscall.WUNTRACED|syscall.WCONTINUED,
			nil)
	}
	if err != nil || pid <= 0 {
		return nil, status, false
	}
	p = r.procs[pid]
	switch {
	case p == nil:
	case status.Stopped():
		p.stopped = true
	case status.Continued():
		p.stopped = false
	default:
		delete(r.procs, pid)
		p.status, p.reaped, p.stopped = status, true, false
		p.hadTerminal = r.foreground == p
		p.groupEmpty = errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH)
	}
	return p, status, true
}

// running returns the commands that have not ended.
func (r *Runner) running() (all []*Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.procs {
		all = append(all, p)
	}
	return all
}
