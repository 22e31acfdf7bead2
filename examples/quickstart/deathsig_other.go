//go:build !linux

package main

import "syscall"

// dieWithParent: elsewhere a worker notices by the end of its input.
var dieWithParent *syscall.SysProcAttr
