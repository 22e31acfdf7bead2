//go:build unix && !linux

package childproc

import "syscall"

// dieWithParent does nothing here, because only Linux has a parent-death signal. A test process
// that is killed leaves its servers running.
func dieWithParent() *syscall.SysProcAttr { return nil }
