package core

import "time"

// The constants of speed and cost, each with the row of "make compare" or the test that it is for.
// Times that a promise depends on stand where they are used.

// etcd rejects a transaction that has more than 128 compares, operations in its then-branch or
// operations in its else-branch (--max-txn-ops). A nested transaction counts as one operation, and
// has the same limits for itself.
const (
	txnOps = 128
	ownOps = 2 // the put of the record, and the one nested in the else-branch
	// MaxOps is the number of compares and of operations in each branch that a [Write] may have.
	MaxOps = txnOps - ownOps
	// WeightBytes is the number of bytes that a write may put for each unit of its weight, so that
	// a full transaction stays below half of the 1.5 MiB that etcd accepts (--max-request-bytes).
	WeightBytes = 5 << 10
)

// The constants by which writes are put together.
const (
	// maxSenders is the number of transactions of a session that may be under way before writes
	// wait. With two, the server works on one while the answer to the other is read; more make
	// smaller batches. lock_own_c16 is 37 % slower with one, and lock_own_c64 takes 20 % more
	// CPU with four.
	maxSenders = 2
	// minShare is the number of writes that a transaction takes before it leaves waiting writes to
	// the other one. With 1, the locks of 4 goroutines take 1.35 requests each, where they take
	// 1.04. More goroutines show no difference.
	minShare = 4
	// A sender lingers for weighted writes for the time of the last transaction divided by
	// lingerShare, and for maxLinger at most. Without it, queue_8x8 is 3 % slower and takes 8 % more
	// CPU, and an item 0.15 requests instead of 0.12, each of which costs more on a slow network.
	lingerShare = 4
	maxLinger   = time.Millisecond
	// nestAfter is the number of batches that are nested from the start after a flat one was sent
	// again. queue_8x8 is 20 to 50 % slower without it.
	nestAfter = 32
	// deferTime is the longest time for which a deferred write waits for a write to go along with.
	// lock_deferred_c1 is as fast without it, but takes twice the requests.
	deferTime = time.Millisecond
)

// ownWatchDelay is the age of a hold from which its key is watched. Most holds are shorter, and a
// lost lease is noticed without it. lock_own_c256 is 23 % slower if all are watched.
const ownWatchDelay = time.Second

// For the first tryFor, the tries of a write whose connections break begin every tryEvery. A path
// that cuts all connections every 100 ms is used best by a try right after each cut, and growing
// pauses would miss it. The test is TestCallsWhileAllConnectionsAreCut: the longest write takes
// 1.3 s, and 7.0 s with growing pauses.
const (
	tryEvery = 80 * time.Millisecond
	tryFor   = 5 * time.Second
)
