// Package session keeps a lease alive and knows, at any moment, whether what hangs on it may still be relied on.
//
// # Usage
//
//	s, err := session.New(ctx, client, nil)
//	if err != nil {
//		return err
//	}
//	defer s.Close(ctx) // with 1 s of its own if ctx has ended
//	// hand s to the recipes: mutex.New(s, "jobs/nightly", nil)
//
// One session serves any number of recipes. Programs that want to go on after a loss use [Run]; those that want to go on
// with what they had, after a restart, keep [Session.Lease] somewhere and use [Resume].
//
// # Guarantees
//
// The session's context, and with it that of every hold, ends before the lease can expire on the server, as long as
// clocks run within 1 % of each other: the deadline counts from when the last acknowledged renewal was sent, less 1 %
// and 100 ms. It ends within one watch latency when the server takes the lease away early. It says why: [ErrExpired],
// [ErrRevoked], [ErrResumedElsewhere], [ErrClosed].
//
// Every write of a session is applied at most once, however late a copy of it reaches the server: each compares the
// session's epoch, the revision of a record key under the lease. A try that follows an unanswered one moves the epoch,
// which makes all earlier copies void. A session whose lease is gone cannot write at all.
//
// Every call returns when its context ends. What it leaves unclear is settled in the background.
//
// # Not guaranteed
//
// A process that is paused past the deadline finds out when it wakes, not before, and may act in between. Whatever it
// writes outside of etcd needs the fence, see [Hold.Fence]. A leader of the cluster that was itself paused may revoke
// leases that are alive; then the hold ends one watch latency after another may have got it.
//
// A late copy is one of a try that was not answered. What a proxy repeats of requests that were answered may be applied
// again.
//
// # Keys
//
// Each session keeps one key under its lease, holdfast/sessions/<lease hex>, with a little JSON that says who it is,
// and one below it (…/w0, …/w1) for each [Session.Txn] that is under way at the same time. A user who may not write
// them cannot have sessions.
//
// # Source
//
// The deadline from the send time is that of Gray and Cheriton's leases, and of Chubby's client; the epoch is a fencing
// token turned on oneself.
package session
