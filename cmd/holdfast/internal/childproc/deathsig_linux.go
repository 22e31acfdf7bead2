package childproc

import "syscall"

// dieWithParent has the kernel kill the command when this process dies without a chance to do it.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
