//go:build unix && !linux

package childproc

import "syscall"

// dieWithParent does nothing here: only Linux has a parent-death signal, so a
// test process that is killed leaves its servers behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
