package main

import "syscall"

// dieWithParent has the kernel kill a worker when the director dies without a chance to stop it.
var dieWithParent = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
