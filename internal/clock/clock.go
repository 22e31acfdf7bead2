// Package clock measures elapsed time, including the time in which the machine was asleep.
//
// # Limitations
//
// The monotonic clock of package time stops while the machine sleeps, but servers' clocks run on.
// The wall clock runs on too, but it may be set, and a step must not look like a sleep. Linux has a
// third clock, CLOCK_BOOTTIME, which runs on and is never set. On other systems the package uses
// the wall clock.
//
// # Concurrency
//
// All functions are safe for concurrent use.
package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// Instant is a point in time. Its Time has a monotonic reading.
type Instant struct {
	time.Time
	asleep time.Duration // time that the machine had slept since it booted
	known  bool          // whether asleep is known
}

// Now returns the current instant.
func Now() Instant {
	d, known := asleep()
	return Instant{time.Now(), d + time.Duration(pretended.Load()), known}
}

// At returns the instant of a time, with an unknown time asleep.
func At(t time.Time) Instant { return Instant{Time: t} }

// noise is the largest change of the time asleep that does not count as sleep. Two clocks measure
// the time asleep and cannot be read at the same moment.
const noise = 20 * time.Millisecond

// Elapsed returns the time elapsed between two instants. If the time asleep is unknown, it returns
// the larger of the monotonic and the wall clock's difference. The wall clock may have been set,
// but an elapsed time that is too long is the safe error.
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

// Gap returns the time by which another clock advanced further than the monotonic clock, because
// the machine slept or the wall clock was set forward, for example after a pause of a virtual
// machine.
func Gap(from, to Instant) time.Duration {
	return max(Elapsed(from, to), wall(from, to)) - to.Sub(from.Time)
}

func wall(from, to Instant) time.Duration { return to.Round(0).Sub(from.Round(0)) }

var pretended atomic.Int64

// Sleep makes all later instants look as if the machine had slept for d. It is for tests, and
// changes the clock of the whole process.
func Sleep(d time.Duration) { pretended.Add(int64(d)) }

type shiftKey struct{}

// Wall returns the time of day in UTC, without a monotonic reading.
func Wall(ctx context.Context) time.Time {
	shift, _ := ctx.Value(shiftKey{}).(time.Duration)
	return time.Now().Add(shift).UTC().Round(0)
}

// Shift returns a context in which [Wall] is wrong by d. It is for tests.
func Shift(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, shiftKey{}, d)
}
