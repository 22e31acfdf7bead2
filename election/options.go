package election

import "time"

// Options of an election. The zero value, or nil, is right for most.
type Options struct {
	// LockDelay is how long the next leader waits after a leader that did not resign, because it
	// died or was lost. The delay counts from the moment at which the next leader saw the place
	// become free. With a delay of at least the time to live of all sessions, two terms do not
	// overlap even when etcd takes a lease away too early. All candidates must set the same delay.
	// Others see the next leader while it waits. While the database of etcd is full, a waiter whose
	// turn has come waits until there is space.
	LockDelay time.Duration

	// MaxHold is the longest time for which a term may be held without [Term.Progress], for work
	// that may hang while its process lives. Time in which the machine sleeps counts. Then the
	// context of the term ends with [session.ErrOverdue], and 1 s later its key is deleted, so that
	// the next candidate leads. The session and its other holds live on. 0 is no limit. Users of a
	// name may differ in it. A term that lasts for 1 s, or half of MaxHold if that is shorter, costs
	// one more write, which shows the others since when it is held, see [Candidate.Since].
	MaxHold time.Duration
}
