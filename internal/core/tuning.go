package core

import "time"

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
