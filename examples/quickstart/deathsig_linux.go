package main

import "syscall"

// dieWithParent makes the kernel kill a worker if the director is killed.
var dieWithParent = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
