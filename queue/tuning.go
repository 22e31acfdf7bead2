package queue

import (
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
)

// Sizes of reads and writes, and of what is kept. They are variables because
// TestModelWithSmallSizes sets small ones, with which its few items reach the rules for many.
// Nothing else sets them.
var (
	// firstWindow is the number of items that the first read of a queue takes, without their values.
	// It doubles with each further read, up to window.
	firstWindow int64 = 32
	window      int64 = 256
	// maxKnown is the number of entries above which a cache forgets the items behind the first
	// quarter of them, so that its memory does not grow with the backlog.
	maxKnown = 4096
	// keptValue is the longest value that a cache keeps from the watch, so that the claim of the
	// item need not read it. Three rounds of queue_8x8 have shown no gain.
	keptValue = 1 << 10
	// idleCache is the time for which a cache without users is kept, so that the next one needs no
	// read.
	idleCache = 30 * time.Second
	// reach is how many numbers an extension reads at most, unless there are no items. etcd passes
	// all keys of a range, also with a limit. A first read is of fewer if there may be more items.
	reach      int64 = 4096
	firstReach int64 = 1024
	// maxSteps is the number of reads that pass few items, until one reads the rest of the queue.
	maxSteps = 4
	// maxSpans is how many ranges hold the claims of a refresh. With them, the retries and the new
	// items of ten priorities, the transaction stays within etcd's 128 operations.
	maxSpans = 32

	// firstDue is the number of delayed items that are read at first, with their values. The number
	// grows as far as they are small enough for one transaction.
	firstDue int64 = 16
	// duePage is the number of keys that are read to find the next delayed item. A key that this
	// package did not write is skipped, so one may not be enough.
	duePage int64 = 16
	// leastAhead is how far ahead the next delayed item is looked for, because etcd passes all keys
	// of a range, also with a limit. If there is none, it is looked for aheadFactor times as far
	// behind that, and above mostAhead without an end.
	leastAhead int64 = 10_000 // milliseconds
	// maxMoved is the number of items that one transaction moves at most. So many of the largest
	// stay within the limit of an answer.
	maxMoved = 32

	// Gaps are ranges of places whose items are gone. etcd passes all keys that were deleted since
	// its last compaction, so a read that does not leave them out takes longer with every item
	// before.

	// leastGap is the number of places of the shortest gap that is stored.
	leastGap int64 = 64
	// maxGaps is the number of gaps of a queue that are stored, the widest ones.
	maxGaps = 32
	// gapEvery, or up to twice as many, is the number of items that are removed until the gaps are
	// stored again. A part of that, by idleGaps, is enough when nothing is left to receive.
	gapEvery = 1024
	idleGaps = 16

	// idleRoom is the time for which the watch of a full queue is kept without producers that wait.
	idleRoom = 10 * time.Second

	// keysOfDead is the number of keys of dead letters that are read at once, because etcd passes all
	// keys that follow for each read.
	keysOfDead int64 = 4096
	// pageOfDead is the number of dead letters that are read at once, with their values.
	pageOfDead = 16
	// leastFound and mostFound bound the number of items that Remove reads at once. It doubles
	// while the answers are short enough.
	leastFound int64 = 32
	mostFound  int64 = 512
)

// Consumers. The rows of "make compare" are queue_1x1 and queue_8x8, and queue_backlog for the
// reads.
const (
	// claimWeight is the weight of a claim that returns the value. A transaction has about 16 of
	// them, because each value may be large.
	claimWeight = core.MaxOps / 16
	// knownWeight is the weight of a claim of an item whose value is kept.
	knownWeight = 2
	// paceInterval is the longest time for which a claim, or an ack of a Consume, waits for others.
	// Without it, one producer and a Consume of one function send 2.0 requests an item, not 1.4.
	paceInterval = 5 * time.Millisecond
	// peekPage is the number of items that Peek reads at once, with their values. So many of the
	// largest items stay within the limit of an answer.
	peekPage = 16
)

// Delayed items.
const (
	aheadFactor = 16                    // see leastAhead
	mostAhead   = 30 * 24 * 3600 * 1000 // milliseconds
	// leaveFor is about the time for which consumers leave the moving to another process that was
	// faster, because only one of them can move an item. Without it, 6 processes send 4,840 requests
	// for 2,000 items that are due at once, not 4,290.
	leaveFor = 100 * time.Millisecond
)

// Producers. The tests are TestRequestsPerItem and TestProducerFreezes of integration/queue. The
// figures are of 2 to 100 sessions on an etcd in memory that answers after 1 to 3 ms.
const (
	// firstAppendPause is the first pause after an append that was not answered.
	firstAppendPause = 20 * time.Millisecond

	// A pause is at most as long as the last transaction took, doubled for each unit of pressure.
	maxPause    = 5 * time.Second
	maxPressure = 10
	// A producer that loses doubles its pause so often, and then once after manyLosses more. It must
	// not pause for much longer than the others, because only a success raises the pressure for all:
	// without the limit, one of two producers put 9 items for each of the other. manyLosses is for a
	// tail that always moves: see TestTailThatAlwaysMoves.
	maxLosses  = 3
	manyLosses = 16
	// At lowPressure, or less, a producer that has lost once tries again without a pause. Without
	// that, 6 producers send 3.5 requests an item, not 3.1, and 2 send 1.8, not 2.2.
	lowPressure = 2
	// manyAlone is how often a producer moves the tail, and no other does, until it does not pause.
	// Without it, 6 producers of a full queue send 7 requests an item, not 3.3, on real etcd. If the
	// queue is never full, they send 2.3 without it, and 3.1 with it.
	manyAlone = 4

	// A producer that moves the tail all the time lets others in after this time. No figure shows a
	// gain beside manyAlone: it is for a producer that starts while another never pauses.
	turn = 100 * time.Millisecond
)
