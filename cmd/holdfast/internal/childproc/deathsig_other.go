//go:build unix && !linux

package childproc

import "syscall"

// dieWithParent does nothing, because only Linux has a parent-death signal.
func dieWithParent(*syscall.SysProcAttr) {}
