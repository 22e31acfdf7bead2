// Package semaphore shares a number of permits among processes.
//
// # Usage
//
//	permit, err := semaphore.New(s, "gpus", 8, nil).Acquire(ctx, 2)
//	if err != nil {
//		return err
//	}
//	defer permit.Release(ctx)
//	work(permit.Context()) // ends if the permit is lost
//
// [Semaphore.Do] runs a function under a permit, and [Run] with sessions of its own.
//
// # Guarantees
//
// A permit is granted only if it fits into the current limit together with all permits held, except
// after a Resize to a lower limit (see Limitations). Permits are granted strictly in the order in
// which the server saw the requests: a light one does not overtake a heavy one that waits. Fences
// ([Permit.Fence]) grow from grant to grant. The permits of a lost session are free once
// its lease has ended. A call that failed leaves nothing in etcd that could hold a permit later,
// even if answers were lost.
//
// The context of a [Permit] ends before its units can be granted to another. Package session states
// the assumptions.
//
// All users declare the same limit, which is stored. Calls that declare another return
// [ErrLimitMismatch]. The current limit is a separate number, which [Semaphore.Resize] changes for
// all users.
//
// # Limitations
//
// A Resize revokes no permit: if more units are held than the new limit allows, no permit is
// granted until enough have been released. A process that was paused may act for a moment after its
// permit was lost, see package mutex.
//
// All waiters behind a waiter that fitted at an earlier limit count it as granted at that limit,
// even if its own process did not see that limit and acquires the permit later. So after a Resize
// up and down again more than the current limit may be held, but not more than had been granted.
//
// # Concurrency
//
// All types and functions are safe for concurrent use.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for a name, limit or weight that cannot be used,
// [ErrLimitMismatch] when the semaphore was declared with another limit, [session.ErrCorrupt] for a
// stored limit that is not a number, [session.ErrLost] when the session ends or another client
// deletes the caller's key, and the context's error when ctx ends first, with
// [gateway.ErrUncertain] if a write was under way. If an error also matches ErrUncertain, check for
// it first.
//
// # Keys
//
// Holders and waiters are leased keys <name>/<lease hex>, as in package mutex. The value is the
// weight in decimal. In a long line a holder that has waited puts its key a second time, which
// notifies the next one that waits. A member with another value counts as the whole limit, so a
// mutex under the same name excludes all permits. Two keys have no lease: <name>//limit is the
// declared limit, <name>//size the current one, which Resize changes. Delete both to declare
// another limit; waiters then join again, and return ErrLimitMismatch if the new limit is not
// theirs. While <name>//size holds no positive number, no permit is granted until a Resize. A mutex
// of clientv3 or etcdctl would wait for those two keys for ever.
//
// # Source
//
// The recipe is Curator's InterProcessSemaphoreV2, with weights as in golang.org/x/sync/semaphore,
// on the line of package mutex.
package semaphore
