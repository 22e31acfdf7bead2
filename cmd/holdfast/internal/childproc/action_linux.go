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

// action is a struct sigaction of the kernel, with room for that of every architecture. Package os/signal cannot do what is
// done here: after a Notify and a Reset of SIGTSTP the runtime's handler stays, and swallows it.
type action [8]uintptr

const sigIgn = 1

func simple(handler uintptr) (a action) {
	a[handlerWord()] = handler
	return a
}

// handlerWord is where the handler is: on MIPS the flags come first.
func handlerWord() int {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 1
	}
	return 0
}

// swap sets the action of a signal and returns the one before.
func swap(sig syscall.Signal, a *action) (old action) {
	size := uintptr(8)
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		size = 16
	}
	// The kernel refuses only numbers that are no signals.
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(a)),
		uintptr(unsafe.Pointer(&old)), size, 0, 0)
	return old
}

// actions are to be put back.
type actions map[syscall.Signal]action

func (a actions) restore() {
	for sig, old := range a {
		swap(sig, &old)
	}
}

// set sets the actions of signals and returns those before.
func set(handler uintptr, sigs ...syscall.Signal) actions {
	all := actions{}
	for _, sig := range sigs {
		a := simple(handler)
		all[sig] = swap(sig, &a)
	}
	return all
}

var inherited = func() map[syscall.Signal]bool {
	all := map[syscall.Signal]bool{}
	for _, sig := range []syscall.Signal{syscall.SIGTTIN, syscall.SIGTTOU} {
		var old action
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
		all[sig] = old[handlerWord()] == sigIgn
	}
	return all
}()

func own(sigs ...syscall.Signal) (all []syscall.Signal) {
	for _, sig := range sigs {
		if !inherited[sig] {
			all = append(all, sig)
		}
	}
	return all
}

// ignoreTerminalStops keeps this process from being stopped because it prints, or hands over a terminal, that is a
// command's.
func ignoreTerminalStops() actions { return set(sigIgn, own(syscall.SIGTTIN, syscall.SIGTTOU)...) }

// allowTerminalStops undoes that for a child that is about to be forked.
func allowTerminalStops() actions { return set(0, own(syscall.SIGTTIN, syscall.SIGTTOU)...) }

// stopSelf stops this process's group as the terminal would have. It returns when the process is continued; or at once,
// where the kernel does not let the signal stop it.
func stopSelf(sig syscall.Signal) {
	before := set(sigIgn, sig)
	_ = syscall.Kill(0, sig) // the rest of the group: this process stops last
	set(0, sig)
	// To this thread: a signal to the process might be taken by another one, later.
	_ = unix.Tgkill(syscall.Getpid(), unix.Gettid(), sig)
	before.restore()
}

// adoptOrphans makes what the commands leave behind this process's children, so that zombies go even where the first
// process of a container does not care for them: a group is not gone as long as it has zombies.
func adoptOrphans() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// orphaned tells whether no shell looks after this process's group: none of its members has a parent that is in the same
// session, but in another group.
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

// parentOf reads the parent and the group of a process.
func parentOf(path string) (parent, group int, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, false
	}
	defer func() { _ = f.Close() }() // it was read only
	line, _ := bufio.NewReader(f).ReadString('\n')
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 3 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	group, err2 := strconv.Atoi(fields[2])
	return parent, group, err == nil && err2 == nil
}
