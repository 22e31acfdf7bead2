package childproc

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// action is a struct sigaction of the kernel, large enough for every architecture. Package
// os/signal does not suffice: after a Notify and a Reset of SIGTSTP the runtime's handler stays and
// ignores the signal.
type action [8]uintptr

const sigIgn = 1

// handlerWord returns the index of the handler: on MIPS the flags come first.
func handlerWord() int {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 1
	}
	return 0
}

// sigaction returns the action of a signal. It sets another one unless a is nil.
func sigaction(sig syscall.Signal, a *action) (old action) {
	size := uintptr(8)
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		size = 16
	}
	// The kernel returns an error only for invalid signal numbers.
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(a)), uintptr(unsafe.Pointer(&old)), size, 0, 0)
	return old
}

// actions are the previous actions of signals, which restore sets again.
type actions map[syscall.Signal]action

func (a actions) restore() {
	for sig, old := range a {
		sigaction(sig, &old)
	}
}

// setActions sets the actions of signals and returns the previous ones.
func setActions(handler uintptr, sigs ...syscall.Signal) actions {
	all := actions{}
	for _, sig := range sigs {
		var a action
		a[handlerWord()] = handler
		all[sig] = sigaction(sig, &a)
	}
	return all
}

// terminalStops are the signals by which a terminal stops background processes, without those that
// this process was started to ignore.
var terminalStops = func() (sigs []syscall.Signal) {
	for _, sig := range []syscall.Signal{syscall.SIGTTIN, syscall.SIGTTOU} {
		if old := sigaction(sig, nil); old[handlerWord()] != sigIgn {
			sigs = append(sigs, sig)
		}
	}
	return sigs
}()

// ignoreTerminalStops keeps this process from being stopped when it prints to a terminal that a
// command has, or lends it.
func ignoreTerminalStops() actions { return setActions(sigIgn, terminalStops...) }

// allowTerminalStops sets the default actions for a child that is about to be forked.
func allowTerminalStops() actions { return setActions(0, terminalStops...) }

// stopSelf stops this process's group as the terminal would. It returns when the process is
// continued, or at once if the kernel does not let the signal stop it.
func stopSelf(sig syscall.Signal) {
	before := setActions(sigIgn, sig)
	_ = syscall.Kill(0, sig) // the rest of the group, because this process stops last
	setActions(0, sig)
	// A signal to the process instead of this thread might be delivered to another thread, later.
	_ = unix.Tgkill(syscall.Getpid(), unix.Gettid(), sig)
	before.restore()
}

// adoptOrphans makes the orphans of commands children of this process, so that they are reaped even
// if the first process of a container does not do it. A group with a zombie still exists.
func adoptOrphans() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// orphaned reports whether no shell controls this process's group: no member has a parent in the
// same session and another group.
func orphaned() bool {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return false
	}
	group := syscall.Getpgrp()
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	for _, path := range stats {
		parent, pgrp, ok := parentOf(path)
		if !ok || pgrp != group {
			continue
		}
		itsGroup, err := unix.Getpgid(parent)
		itsSession, err2 := unix.Getsid(parent)
		if err == nil && err2 == nil && itsGroup != group && itsSession == session {
			return false
		}
	}
	return true
}

// parentOf returns the parent and the group of a process.
func parentOf(path string) (parent, group int, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, false
	}
	defer func() { _ = f.Close() }() // it is only read
	line, _ := bufio.NewReader(f).ReadString('\n')
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 3 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	group, err2 := strconv.Atoi(fields[2])
	return parent, group, err == nil && err2 == nil
}
