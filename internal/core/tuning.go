package core

import "time"

// The constants by which writes are put together, and the row of "make compare" that each is for.
const (
	// maxSenders is the number of transactions of a session that may be under way before writes
	// wait. With two, the server works on one while the answer to the other is read; more make
	// smaller batches.
	maxSenders = 2
	// minShare is the number of writes that a transaction takes before it leaves waiting writes to
	// the other one.
	minShare = 4
	// A sender lingers for weighted writes for the time of the last transaction divided by
	// lingerShare, and for maxLinger at most. A queue with 8 consumers is slower by 10 to 20 %
	// without it.
	lingerShare = 4
	maxLinger   = time.Millisecond
	// nestAfter is the number of batches that are nested from the start after a flat one was sent
	// again.
	nestAfter = 32
	// deferTime is the longest time for which a deferred write waits for a write to go along with.
	// The row is lock_deferred_c1.
	deferTime = time.Millisecond
)
