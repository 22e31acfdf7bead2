// Package barrier makes processes wait for each other: a barrier that somebody holds up, double and cyclic barriers that a
// number of members pass together, and a count-down latch.
//
// # Usage
//
//	raised, err := barrier.New(s, "migration").Hold(ctx) // others: barrier.New(s, "migration").Wait(ctx)
//	defer raised.Release(ctx)
//
//	entry, err := barrier.NewDouble(s, "step", 4).Enter(ctx) // returns when four have entered
//	if err != nil {
//		return err
//	}
//	work(entry.Context())
//	err = entry.Leave(ctx) // returns when all four have left
//
//	arrival, err := barrier.NewCyclic(s, "phase", 4).Await(ctx) // again for each phase
//
//	latch := barrier.NewLatch(s, "ready", 3) // latch.CountDown(ctx) three times lets latch.Wait(ctx) go on
//
// # Guarantees
//
// A [Barrier] counts as down only if it was so after the call of Wait: a broken watch is never taken for it.
//
// Nobody passes a [Double] or a [Cyclic] before n members, each under a session that lives at the server, wait in the same
// round; the fate of a round is written once, and everybody in it goes by that, however late. Rounds do not mix: a member
// that has left a round may enter the next at once, and whoever comes while a round is full belongs to the next. Two
// goroutines are two members, also when they share a session. Any member can complete a round that is full, so a member
// that dies never keeps the others waiting longer than its session lives.
//
// [Entry.Leave] returns when no member of the round is there any more. One that dies between Enter and Leave holds the
// others up for as long as its session lives, and not longer; they do not get an error.
//
// A round of a Cyclic is broken when a member gives up waiting, loses its session or has its key removed, or by
// [Cyclic.Reset]: all who wait then get [ErrBroken], and the next round starts clean. A Double does not break: another
// may take the place of a member that gave up.
//
// A [Latch] counts each CountDown exactly once, whatever answers were lost, and stays open once it is.
//
// Every wait ends with its context, and with [session.ErrLost] when its session does.
//
// # Not guaranteed
//
// A member may be lost in the moment after its round was completed, and the others are not told, in Leave neither: it does
// not tell the dead from those who left. A member that goes before any other has seen it, since it lost its session or
// was cut off while it joined, never was there, and its round goes on. If the place of a lost member is filled before its
// loss is recorded the round is complete. If one gives up, or resets, while the n-th comes, the round is broken or
// complete, whichever is written first: but it is one of them for all.
//
// # Keys
//
// Members are leased keys <name>/<lease hex>, as those of a lock. Beside those of a double or cyclic barrier, and for a
// latch, <name>//parties says what kind it is and for how many. <name>//rounds tells of the complete rounds whose members
// are still there, and of the last; <name>//broken is put when a round is broken. <name>//raised is a barrier that was
// raised without a session. <name>//count is put for each count of a latch. Keys with two slashes have no lease: to use a
// name in another way, delete them. Do not use the name of another recipe, nor that of a simple barrier for another kind:
// it declares nothing, so that nobody is told.
//
// # Source
//
// The double barrier is that of ZooKeeper's recipes; the generations and the broken state of the cyclic one are those of
// java.util.concurrent.CyclicBarrier.
package barrier
