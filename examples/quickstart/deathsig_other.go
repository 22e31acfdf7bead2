//go:build !linux

package main

import "syscall"

// dieWithParent is nil, because only Linux has this signal. A worker ends when its input ends.
var dieWithParent *syscall.SysProcAttr
