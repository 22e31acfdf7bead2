// Package mutex is a lock across processes.
//
// # Usage
//
//	lock, err := mutex.New(s, "jobs/nightly", nil).Lock(ctx)
//	if err != nil {
//		return err
//	}
//	defer lock.Unlock(ctx)
//	work(lock.Context()) // ends if the lock is lost
//
// [Mutex.Do] runs a function under the lock, and [Run] with sessions of its own. [Lock.Detach] lets
// a lock outlive its process for a time; a token then renews or releases it from anywhere, and
// [Adopt] takes it into another session.
//
// # Guarantees
//
// The lock is fair: it is granted in the order in which the server saw the requests. Fences
// ([Lock.Fence]) grow from grant to grant. A transaction with [Lock.Guard] is applied only while
// the lock is held. Two goroutines exclude each other, also when they share a session. A call that
// failed leaves nothing in etcd that could hold the lock later, even if answers were lost.
//
// The context of a [Lock] ends before another can be granted the lock. Package session states the
// assumptions.
//
// # Limitations
//
// No lock service can stop a process that was paused, or whose lease etcd revoked too early, from
// acting for a moment after its lock was lost. Guard the writes to etcd, pass the fence to all
// other systems, and see [Options]. A proxy that repeats POST requests which were already
// answered can restore a member's key.
//
// A goroutine that locks again and again can do so without a request, see [Options.Cache]. Then
// others wait a few milliseconds longer, and members of other libraries up to 0.1 s.
//
// While a member waits behind a lock, the number of times that the lock can be adopted is bounded,
// because each Adopt needs a fence below the waiter's, see [ErrNoFence]. A session keeps about 100
// bytes for each lock that it detached.
//
// # Concurrency
//
// All types and functions are safe for concurrent use.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for a name that cannot be used, [session.ErrLost] when the
// session ends or another client deletes the caller's key, and the context's error when ctx ends
// first, with [gateway.ErrUncertain] if a write was under way. If an error also matches
// ErrUncertain, check for it first.
//
// # Keys
//
// Holders and waiters are leased keys <name>/<lease hex>, ordered by create_revision. Values are
// empty, "cached" (see [Options]), "shared" for readers, and name the owner of a detachable lock,
// whose key keeps its name and create_revision with another owner. clientv3/concurrency, etcdctl
// lock and etcd's lock service use the same keys, so a lock can be shared with them. "a", "a/" and
// "a/b" are three locks. The other libraries count all keys below <name>/, so for them a member of
// "a/b" waits in the line of "a". Keep your own keys elsewhere: a key directly below <name>/ counts
// as a member, and nothing unlocks it. With a lock delay, holdfast/delay/<name> records how the
// last hold ended.
// [Mutex.Break] leaves a record holdfast/broken/<name>/<fence> for 24 hours.
//
// # Source
//
// The line of ephemeral nodes is from ZooKeeper's recipes, its form in etcd from
// clientv3/concurrency.
package mutex
