package clock

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// skew moves the wall reading of a time by whole seconds and keeps the monotonic reading, for which
// package time has no function. In a Time with a monotonic reading, the first word holds the wall
// seconds above 30 bits of nanoseconds.
func skew(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << 30
	return t
}

func TestTheTimeAsleepIsAddedToTheElapsedTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	later := now.Add(2 * time.Second)
	slept := func(t time.Time, d time.Duration) Instant { return Instant{t, d, true} }
	for _, tt := range []struct {
		name         string
		from, to     Instant
		elapsed, gap time.Duration
	}{
		{"awake", slept(now, time.Hour), slept(later, time.Hour), 2 * time.Second, 0},
		{
			"asleep", slept(now, time.Hour), slept(later, time.Hour+10*time.Second),
			12 * time.Second, 10 * time.Second,
		},
		{"noise", slept(now, time.Hour), slept(later, time.Hour+noise), 2 * time.Second, 0},
		{"noise back", slept(now, time.Hour), slept(later, time.Hour-noise), 2 * time.Second, 0},
		{"wall forward", slept(skew(now, -time.Hour), 0), slept(later, 0), 2 * time.Second, time.Hour},
		{"wall back", slept(skew(now, time.Hour), 0), slept(later, 0), 2 * time.Second, 0},
		{
			"asleep, and wall forward by it",
			slept(skew(now, -10*time.Second), 0), slept(later, 10*time.Second),
			12 * time.Second, 10 * time.Second,
		},
		{"unknown", At(now), At(later), 2 * time.Second, 0},
		{
			"unknown, wall forward", At(skew(now, -time.Hour)), slept(later, 5),
			time.Hour + 2*time.Second, time.Hour,
		},
		{"unknown, wall back", slept(skew(now, time.Hour), 5), At(later), 2 * time.Second, 0},
		{"no monotonic reading", At(now.Round(0)), At(later), 2 * time.Second, 0},
		{"another zone", At(now), At(later.UTC()), 2 * time.Second, 0},
	} {
		if got := Elapsed(tt.from, tt.to); got != tt.elapsed {
			t.Errorf("%s: elapsed %v, want %v", tt.name, got, tt.elapsed)
		}
		if got := Gap(tt.from, tt.to); got != tt.gap {
			t.Errorf("%s: gap %v, want %v", tt.name, got, tt.gap)
		}
	}
}

// TestOnlyFakeTimeCountsInABubble checks that only fake time counts in a bubble.
func TestOnlyFakeTimeCountsInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := Now()
		for range 1000 {
			time.Sleep(time.Hour)
		}
		if got := Elapsed(from, Now()); got != 1000*time.Hour {
			t.Errorf("elapsed %v", got)
		}
	})
}
