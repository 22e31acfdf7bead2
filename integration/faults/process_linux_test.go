package faults_test

import "syscall"

// dieWithParent makes the kernel kill a child when this process ends, also one that is frozen.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
