package childproc

import "syscall"

// dieWithParent has the kernel kill the command when this process dies without ending it.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
