package election

import (
	"context"
	"time"
)

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

	// Priority is the candidate's priority, from 0 to [MaxPriority]. When a term ends, the live
	// candidate with the highest one leads, and of equal ones the one that came first. Candidates
	// of other libraries have 0, and lead when their turn comes, because they do not let others
	// pass. Each candidate with a lower priority that is ahead of a higher one joins again, behind
	// it, one after the other. One that is between its two keys when a term ends may be passed.
	Priority int
	// Preempt lets a candidate with a higher priority end the term of [Election.Do] and
	// [Election.Run]: the context of the function ends with [ErrPreempted], and when the function
	// has returned, the term ends as by [Term.TransferTo]. Run then campaigns again. If the other
	// candidate has gone by then, the next one leads.
	Preempt bool
	// Ready returns nil when this process can lead, and may wait until then. [Election.Campaign]
	// calls it before the candidate joins, again after an error. It calls it once more when the
	// candidate's turn has come: after an error then, or when Ready takes more than 1 s, the next
	// candidate leads and this one starts anew. Others see the candidate as the leader during that
	// call. Nil means that it is always ready.
	Ready func(ctx context.Context) error
}
