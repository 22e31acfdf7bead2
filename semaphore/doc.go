// Package semaphore shares a number of permits among processes.
//
// # Usage
//
//	permit, err := semaphore.New(s, "gpus", 8).Acquire(ctx, 2)
//	if err != nil {
//		return err
//	}
//	defer permit.Release(ctx)
//	work(permit.Context()) // ends if the permit is lost
//
// # Guarantees
//
// Nobody is granted a permit unless it fits into the limit together with all permits held. Permits are granted strictly in
// the order in which the server saw the requests: a light one does not overtake a heavy one that waits. Fences
// ([session.Holding.Fence]) grow from grant to grant. The permits of a lost session are free when its lease is. A call that
// failed leaves nothing behind that could hold a permit later, whatever answers were lost.
//
// The context of a [Permit] ends before another can be granted what it held, as long as clocks run within 1 % of each
// other and etcd keeps leases for their time to live.
//
// All users declare the same limit, which is stored; whoever declares another gets [ErrLimitMismatch]. The current limit
// is another number, which [Semaphore.Resize] changes for all.
//
// # Not guaranteed
//
// A Resize takes no permit away: if more are held than it leaves, nobody is granted one until enough have been given
// back. A process that was paused may act for a moment after its permit is gone, see package mutex.
//
// # Keys
//
// Holders and waiters are leased keys <name>/<lease hex>, as those of package mutex, with their weight for a value, in
// decimal. A member whose value is no such number counts as the whole limit; so a mutex under the same name excludes
// all permits. Two keys have no lease: <name>//limit is what was declared, <name>//size what Resize has made of it.
// Delete both to declare another limit; waiters then join anew, and find out whether it is theirs. While <name>//size
// holds no positive number nobody is granted a permit; Resize mends it. A mutex of clientv3 or etcdctl would wait for
// those two keys for ever.
//
// # Source
//
// The leases of Curator's InterProcessSemaphoreV2, with a weight as in golang.org/x/sync/semaphore, on the line of
// package mutex.
package semaphore
