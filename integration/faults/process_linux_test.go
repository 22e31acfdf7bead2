package faults_test

import "syscall"

// dieWithParent makes the kernel kill a child, even a frozen one, when this process ends.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
