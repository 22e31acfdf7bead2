package core

import "time"

// The constants of speed and cost, each with the row of "make compare" or the test that it is for.
// Limits of messages are in limits.go. Times that a promise depends on stand where they are used.

// The constants by which writes are put together.
const (
	// maxSenders is the number of transactions of a session that may be under way before writes
	// wait. With two, the server works on one while the answer to the other is read; more make
	// smaller batches. The rows are lock_own_c16 to lock_own_c256. With four senders, the locks of
	// 64 goroutines take 0.13 requests each, and 0.08 with two.
	maxSenders = 2
	// minShare is the number of writes that a transaction takes before it leaves waiting writes to
	// the other one. With 1, the locks of 4 goroutines take 1.35 requests each, where they take
	// 1.04. More goroutines show no difference.
	minShare = 4
	// A sender lingers for weighted writes for the time of the last transaction divided by
	// lingerShare, and for maxLinger at most. The row is queue_8x8, which is slower by 10 to 20 %
	// without it: an item takes 0.15 requests then, and 0.12 with it.
	lingerShare = 4
	maxLinger   = time.Millisecond
	// nestAfter is the number of batches that are nested from the start after a flat one was sent
	// again. It is for queues with several consuming clients, which no row has: with two of them,
	// an item takes 0.26 requests and 3.5 KB, where it takes 0.28 and 3.0 KB without.
	nestAfter = 32
	// deferTime is the longest time for which a deferred write waits for a write to go along with.
	// The row is lock_deferred_c1: a lock takes 0.6 KB, and 1.0 KB if the write does not wait.
	deferTime = time.Millisecond
)

// ownWatchDelay is the age of a hold from which its key is watched. Most holds are shorter, and a
// lost lease is noticed without it. The row is lock_own_c256.
const ownWatchDelay = time.Second

// For the first tryFor, the tries of a write whose connections break begin every tryEvery. A path
// that cuts all connections every 100 ms is used best by a try right after each cut, and growing
// pauses would miss it. The test is TestCallsWhileAllConnectionsAreCut: the longest write takes
// 1.3 s, and 7.0 s with growing pauses.
const (
	tryEvery = 80 * time.Millisecond
	tryFor   = 5 * time.Second
)
