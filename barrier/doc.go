// Package barrier makes processes wait for each other: a simple barrier that a process holds up,
// double and cyclic barriers that n members pass together, and a count-down latch.
//
// # Usage
//
//	// others: barrier.Wait(ctx, client, "migration"), without a session
//	up, err := barrier.New(s, "migration").Hold(ctx)
//	defer up.Release(ctx)
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
//	// latch.Wait(ctx) returns after three calls of latch.CountDown(ctx)
//	latch := barrier.NewLatch(s, "ready", 3)
//
// # Guarantees
//
// [Barrier.Wait] and [Wait] return nil only if the barrier was down at a moment after the call. A
// broken watch does not count as down. [Wait], [WaitLatch] and [CountLatch] need no session: they
// lease nothing and only read.
//
// No member passes a [Double] or a [Cyclic] before n members, each under a session that lives at
// the server, wait in the same round. The result of a round is written once, and all its members
// follow it, also those that read it late. Rounds do not mix: a member that has left a round may
// enter the next at once, and a member that joins while a round is full belongs to the next. Two
// goroutines are two members, also when they share a session. Any member can complete a full round,
// so a member that dies delays the others at most until its session ends at the server.
//
// [Entry.Leave] returns when all members of the round have left or were lost. A member that dies
// between Enter and Leave delays the others until its session ends at the server; they return no
// error.
//
// A round of a Cyclic is broken when a member stops waiting, loses its session or has its key
// deleted, or by [Cyclic.Reset]. All members that wait in it then return [ErrBroken], and the next
// round starts anew. Rounds of a Double do not break: another member may take the place of a member
// that stopped waiting.
//
// A [Latch] counts each CountDown exactly once, even if answers were lost, and never closes again.
//
// # Limitations
//
// A member may be lost just after its round was completed. The others do not notice, not even in
// Leave, which cannot distinguish a lost member from one that left. A member that disappears before
// any other member saw it does not break the round. If the place of a lost member is filled before
// its loss is recorded, the round is complete. If a member stops waiting, or resets, while the n-th
// joins, the round is broken or complete, whichever is written first, and all members see the same.
//
// # Concurrency
//
// All types and functions are safe for concurrent use.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for a name or number that cannot be used, [ErrConfigMismatch]
// when the name was declared as another kind or for another number, [session.ErrCorrupt] for a
// value that this library does not write, [session.ErrLost] when the session ends or another client
// deletes the caller's key, and the context's error when ctx ends first, with
// [gateway.ErrUncertain] if a write was under way. If an error also matches ErrUncertain, check for
// it first.
//
// # Keys
//
// Members are leased keys <name>/<lease hex>, as in a lock. For double and cyclic barriers and for
// latches, <name>//parties declares the kind and the number of members or counts. <name>//rounds
// lists the complete rounds whose members are still there, and the last one. <name>//broken is put
// when a round is broken, <name>//raised by [Barrier.Raise], and <name>//count for each count of a
// latch. Keys with two slashes have no lease: to use a name in another way, delete them. Do not use
// the name of another recipe, nor the name of a simple barrier for another kind: a simple barrier
// declares nothing, so its users get no error.
//
// # Source
//
// The double barrier is from ZooKeeper's recipes. The rounds and the broken state of the cyclic
// barrier are from java.util.concurrent.CyclicBarrier.
package barrier
