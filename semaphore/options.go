package semaphore

import "time"

// Options of a semaphore. The zero value, or nil, is right for most.
type Options struct {
	// MaxHold is the longest time for which a permit may be held without [Permit.Progress], for
	// work that may hang while its process lives. Time in which the machine sleeps counts. Then the
	// context of the permit ends with [session.ErrOverdue], and 1 s later its key is deleted, so
	// that waiters acquire it. The session and its other holds live on. 0 is no limit. Users of a
	// name may differ in it. A permit that is held for 1 s, or half of MaxHold if that is shorter,
	// costs one more write, which shows the others since when it is held, see [Member.Since].
	MaxHold time.Duration
}
