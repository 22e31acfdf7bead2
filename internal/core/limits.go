package core

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
