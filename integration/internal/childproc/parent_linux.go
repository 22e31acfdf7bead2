package childproc

import "syscall"

// dieWithParent makes the kernel kill the child when this process ends, however
// it ends.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
