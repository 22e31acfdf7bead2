// Package mutex is a lock across processes.
//
// # Usage
//
//	lock, err := mutex.New(s, "jobs/nightly", nil).Lock(ctx)
//	if err != nil {
//		return err
//	}
//	defer lock.Unlock(ctx)
//	work(lock.Context()) // ends if the lock is lost; see Do for a context that also ends with ctx
//
// # Guarantees
//
// The lock is fair: it is granted in the order in which the server saw the requests. Fences ([session.Hold.Fence])
// grow from grant to grant. A transaction with [session.Hold.Guard] is applied only while the lock is held. Two
// goroutines exclude each other, also when they share a session. A call that failed leaves nothing behind that could hold
// the lock later, whatever answers were lost.
//
// The context of a [Lock] ends before another can be granted the lock, as long as clocks run within 1 % of each other and
// etcd keeps leases for their time to live.
//
// # Not guaranteed
//
// No lock service can keep a process that was paused, or whose lease etcd revoked too early, from acting for a moment
// after its lock is gone. Guard what is written to etcd, pass the fence to everything else, and see
// [Options]. A proxy in between that repeats POST requests which were answered can bring a member back.
//
// # Keys
//
// Waiters are leased keys <name>/<lease hex>, ordered by create_revision, as those of clientv3/concurrency, etcdctl
// lock and etcd's lock service, with which a lock can be shared. "a", "a/" and "a/b" are three locks; to the others, who count
// all keys below <name>/, a member of "a/b" stands in the line of "a". Keep your own keys elsewhere: one directly below
// <name>/ is taken for a member, which nobody will unlock. With a lock delay, holdfast/delay/<name> says how the last
// hold ended.
//
// # Source
//
// The line of ephemeral nodes is from ZooKeeper's recipes, its form in etcd from clientv3/concurrency.
package mutex
