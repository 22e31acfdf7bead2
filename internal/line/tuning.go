package line

import "time"

// The constants of speed and cost, each with the row of "make compare" or the test that it is for.
const (
	// directWatchThreshold is the number of members of other sessions above which an exclusive
	// member watches its predecessor instead of the line. If each client of a long line had a
	// mirror, etcd would send every event of the line to all of them, and each would read the whole
	// line. line_10 is 25 % slower with a threshold of 1. A release among 100 clients takes 3
	// requests and 1.1 events, and without a threshold 2 and 200.
	directWatchThreshold = 16
	// pastWatchThreshold is the number of members of other sessions above which a member watches
	// its predecessor and the settings from the revision at which it saw them, without a read. etcd
	// delivers the events of such a watch up to 100 ms late at first, which does not matter so far
	// back. These watches are patient, because otherwise etcd's work for the probes of a long line
	// exceeds that for its releases. A release among 100 clients takes 3 requests, and 4 without.
	// In an election it takes 5 and 7 KB, and 8 and 31 KB without. With a threshold of 16, a lock
	// that 30 clients want is passed on 31 % slower.
	pastWatchThreshold = 64
	// ownFarDelay is the time from which a member that is so far back also watches its own key. No
	// grant depends on that watch: it ends the wait of a member that another client has removed.
	// With such a watch from the start, a release among 100 clients takes 4 requests, where it takes
	// 3.
	ownFarDelay = 30 * time.Second
	// noteDelay is the time for which a leader leads before it puts its note. Shorter terms save two
	// requests and an event. The row is fleet_election_100.
	noteDelay = 100 * time.Millisecond
	// frontRead is the number of keys at the front of a long line that a member far back reads to
	// find out whether its predecessor waits, if it does not know better. Two of them may be
	// settings. It is for semaphores with more permits than that. With 32 permits and 130 clients a
	// release takes 6.1 requests and 46 KB, where it takes 5.0 and 39 KB if all keys are read.
	frontRead = directWatchThreshold + 2
	// idleMirror is the time for which a mirror without users is kept, so that the next waiter
	// needs no read. lock_hot_p2 is 22 % slower without.
	idleMirror = 30 * time.Second
	// frontKeys is the number of keys that are read where one or two members are needed. All of the
	// line is read only if keys of other lines lie below it. A TryLock of a lock that 100 others
	// want receives 1.7 KB, and 9.8 KB without.
	frontKeys = 8
	// tries is the number of attempts that Try makes while the line changes between read and write,
	// before it joins the line to find its place.
	tries = 3
)

// Bounds.
const (
	// stayIdle is the time for which a cached key stays although no caller of its session uses it.
	// mutex.Options promises it, as it does stayTurn.
	stayIdle = time.Second
	// stayTurn is the time for which a cached key is passed on in its session while another member
	// waits.
	stayTurn = 10 * time.Millisecond
	// ownReadTimeout bounds the read before a watch of the own key, because a member does not look
	// at its predecessor meanwhile. After a read that failed, the member tries again after
	// ownFarDelay.
	ownReadTimeout = time.Second
	// stayMost is the time after which a cached key is not passed on any more.
	stayMost = 10 * time.Second
	// maxBatchedValue is the longest value that is batched with other writes, because a batch must
	// not exceed the size of a request.
	maxBatchedValue = 4096
	// freeRepeats is the number of repetitions of an Again without a pause, because declaring
	// settings takes as many.
	freeRepeats = 2
	// minRepeatPause and maxRepeatPause bound the pauses of an Again, which double. They keep two
	// programs that change the settings to and fro from using all of etcd's time.
	minRepeatPause = 10 * time.Millisecond
	maxRepeatPause = time.Second
	// spacePause is the pause between the attempts of a member at the front to put its marker into
	// a full database.
	spacePause = time.Second
	// FinishTimeout bounds Finish, which must release the hold after the caller's context has
	// ended.
	FinishTimeout = 5 * time.Second
)
