// Package session keeps a lease alive and reports, at any moment, whether the holds under it may
// still be relied on.
//
// # Usage
//
//	s, err := session.New(ctx, client, nil)
//	if err != nil {
//		return err
//	}
//	defer s.Close(ctx) // with 1 s of its own if ctx has ended
//	// pass s to the recipes: mutex.New(s, "jobs/nightly", nil)
//
// One session serves any number of recipes. Use [Run] to continue with a new session after a loss.
// To keep the holds over a restart of the process, store [Session.Lease] and call [Resume].
//
// # Guarantees
//
// The contexts of the session and of its holds end before the lease can expire on the server, as
// long as clocks run within 1 % of each other. The deadline is the time at which the last
// acknowledged renewal was sent, plus the time to live, less 1 % and 100 ms. If the server revokes
// the lease early, the contexts end within one watch latency. The cause is [ErrExpired],
// [ErrRevoked], [ErrResumedElsewhere] or [ErrClosed].
//
// Every write of a session is applied at most once, however late a copy of it reaches the server.
// Each write compares the session's epoch, the revision of a record key under the lease. A try that
// follows an unanswered one changes the epoch, which makes all earlier copies void. A session whose
// lease has ended cannot write at all.
//
// Every call returns when its context ends. The session resolves a write in doubt in the
// background.
//
// # Limitations
//
// A process that is paused past the deadline notices when it runs again, and may act before it
// does. Its writes to other systems need the fence, see [Hold.Fence]. A leader of the cluster that
// was itself paused may revoke leases that are alive. The hold then ends one watch latency after
// another client may have acquired it.
//
// Only copies of an unanswered try are void. If a proxy repeats a request that was answered, the
// request may be applied again.
//
// # Concurrency
//
// All types and functions are safe for concurrent use.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for wrong options, [ErrLost] after the session has ended, the
// error of ctx when ctx ends first, with [gateway.ErrUncertain] if a write was under way, and
// otherwise the error of etcd. If an error also matches ErrUncertain, check for it first.
//
// # Keys
//
// Each session keeps one key under its lease, holdfast/sessions/<lease hex>, with JSON that
// identifies the session. For each [Session.Txn] that is under way at the same time it keeps one
// more below that key (…/w0, …/w1), for each hold with a MaxHold one that shows the others since
// when it lasts (…/since/<key>), and one for the last lock of a long line that it has released
// (…/left). A user needs permission to read and write these keys.
//
// # Source
//
// The deadline that counts from the send time is from Gray and Cheriton's leases, and from Chubby's
// client. The epoch is a fencing token that a session applies to its own writes.
package session
