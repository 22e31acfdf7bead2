//go:build !linux

package faults_test

import "syscall"

// dieWithParent does nothing here, because a child ends when its standard input does.
func dieWithParent() *syscall.SysProcAttr { return nil }
