package under

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// suspend does what a shell expects when its terminal has stopped the command (Ctrl-Z): this process stops as well, with
// the terminal given back, until it is told to go on. Meanwhile nothing is renewed; the hold may be lost then.
func (p *Process) suspend() {
	if p.terminal == nil {
		return
	}
	p.mu.Lock() // signals wait: the command must not go on before it has the terminal
	defer p.mu.Unlock()
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WSTOPPED|unix.WNOHANG, nil)
	if err != nil || info.Signo == 0 {
		return
	}
	p.terminal.give(syscall.Getpgrp())
	_ = syscall.Kill(0, syscall.SIGSTOP)
	if p.terminal.mine() { // not so in the background
		p.terminal.give(p.cmd.Process.Pid)
	}
	p.alive(syscall.SIGCONT)
}
