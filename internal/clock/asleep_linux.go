package clock

import (
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// The numbers of the clocks in clock_gettime(2).
const (
	monotonic = 1
	boottime  = 7 // like monotonic, and includes the time asleep
)

// sharedFor is how long a reading is used again, because each takes three system calls, and all
// sessions of a process look at the clock when a renewal is answered. A machine that wakes up
// notices its sleep up to sharedFor later.
const sharedFor = time.Millisecond

type reading struct {
	at    time.Time
	slept time.Duration
}

var lately atomic.Pointer[reading]

func asleep() (slept time.Duration, known bool) {
	now := time.Now()
	if r := lately.Load(); r != nil {
		if age := now.Sub(r.at); age >= 0 && age < sharedFor {
			return r.slept, true
		}
	}
	if slept, known = difference(); known {
		lately.Store(&reading{now, slept})
	}
	return slept, known
}

// difference returns the difference of the two clocks. Because they are read one after the other,
// it uses the fastest of three readings.
func difference() (slept time.Duration, known bool) {
	best := time.Duration(1<<63 - 1)
	for range 3 {
		before, ok := read(monotonic)
		boot, ok2 := read(boottime)
		after, ok3 := read(monotonic)
		if !ok || !ok2 || !ok3 {
			return 0, false
		}
		if took := after - before; took < best {
			best, slept = took, boot-before
		}
		if best < time.Millisecond {
			break
		}
	}
	return slept, true
}

func read(clock uintptr) (time.Duration, bool) {
	var ts syscall.Timespec
	//nolint:gosec // the call's own form
	_, _, errno := syscall.RawSyscall(
		syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano()), errno == 0
}
