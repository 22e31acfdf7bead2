// Package clock tells how much time has gone by, that in which the machine slept included.
//
// The monotonic clock of package time stands still while a machine sleeps, and servers' clocks do not. The wall clock goes
// on, but it may be set, and a step of it must not look like a sleep. Linux has a third clock, which goes on and is never
// set. Where there is none the wall clock has to do.
package clock

import (
	"sync/atomic"
	"time"
)

// Instant is a moment. Its Time has a monotonic reading.
type Instant struct {
	time.Time
	asleep time.Duration // how long the machine had slept by then since it was booted
	known  bool          // whether asleep is
}

// Now is the current moment.
func Now() Instant {
	d, known := asleep()
	return Instant{time.Now(), d + time.Duration(pretended.Load()), known}
}

// At is the moment of a time of which nothing else is known.
func At(t time.Time) Instant { return Instant{Time: t} }

// noise is what the time asleep may seem to change by although the machine is awake: the two clocks that tell it cannot be
// read at once.
const noise = 20 * time.Millisecond

// Elapsed is how much time went by from one moment to another. Where the machine does not tell how long it slept, that is
// the larger of the monotonic and the wall clock's difference: the wall clock may have been set, and to take too much time
// for gone is the safe mistake.
func Elapsed(from, to Instant) time.Duration {
	awake := to.Sub(from.Time)
	if !from.known || !to.known {
		return max(awake, wall(from, to))
	}
	if slept := to.asleep - from.asleep; slept > noise {
		return awake + slept
	}
	return awake
}

// Gap is how much further another clock went than the monotonic one: the machine slept, or the wall clock was set forward,
// as it is after a virtual machine was paused.
func Gap(from, to Instant) time.Duration {
	return max(Elapsed(from, to), wall(from, to)) - to.Sub(from.Time)
}

func wall(from, to Instant) time.Duration { return to.Round(0).Sub(from.Round(0)) }

var pretended atomic.Int64

// Sleep makes it look as if the machine had slept for d. It is for tests, and for those alone in their process.
func Sleep(d time.Duration) { pretended.Add(int64(d)) }
