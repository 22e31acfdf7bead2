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
// Nobody is granted a permit unless it fits into the limit together with all permits held, save after a Resize to less, see
// below. Permits are granted strictly in the order in which the server saw the requests: a light one does not overtake a
// heavy one that waits. Fences ([session.Hold.Fence]) grow from grant to grant. The permits of a lost session are free
// when its lease is. A call that failed leaves nothing behind that could hold a permit later, whatever answers were lost.
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
// A waiter ahead that fitted at an earlier size counts as granted at that size by everybody behind it, also if its own process
// has not seen that size and takes the permit later: 5 of 8 are held, one waits for 8 and one behind it for 3. A Resize to 16
// grants both; a Resize back to 8 takes nothing away. If the process of the 8 saw only the last of that, it takes its permit
// when the 5 are given back, while the 3 are held: 11 of 8, of the 16 that had been granted.
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
