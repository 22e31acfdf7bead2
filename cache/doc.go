// Package cache keeps a copy of all keys with a prefix, which is read without requests.
//
// # Usage
//
//	config, err := cache.Open(ctx, client, "config/", nil)
//	if err != nil {
//		return err
//	}
//	defer config.Close()
//	kv, ok := config.Get("config/level")
//	for change, err := range config.Changes(ctx) { … }
//
// A client is enough, no session is needed. One cache serves all goroutines of a process.
//
// # Guarantees
//
// Each state of the copy is the state of etcd at one revision, with all keys of a transaction.
// Revisions only grow: the copy never goes backwards, also when a member of the cluster lags behind
// the one before. [Snapshot] keeps a state. [Cache.WaitRevision] waits until the copy includes
// a write.
//
// After a cut, the copy goes on where it was. If the events since were compacted, it is loaded
// again, and [Cache.Changes] yields the differences, deletions among them.
//
// Memory is bounded by [Options.MaxBytes]. A slow loop over changes does not delay the copy.
//
// # Limitations
//
// Reads may be behind etcd, by a network latency while all is well, and for as long as the process
// is cut off. [Cache.Health] reports how far, and WaitRevision waits. Do not use the copy to decide
// whether a hold is still held.
//
// The events during a load, the keys that have changed while a prefix is loaded again, and the
// snapshots that the program keeps need memory in addition. A change costs a copy of the list of
// chunks of 256 keys, which is a limit for millions of keys that change all the time. Intermediate
// values may be left out of Changes.
//
// # Concurrency
//
// [Cache] and [Snapshot] are safe for concurrent use. Values are shared and must not be modified.
//
// # Errors
//
// [Open] returns [gateway.ErrInvalid] for options that cannot be used, and the error of etcd when
// the keys cannot be read. Calls return the context's error when ctx ends first, [ErrTooLarge] when
// the keys have exceeded [Options.MaxBytes], and [ErrClosed] after [Cache.Close]. After any other
// error, the cache goes on trying in the background; [Cache.Health] has the error.
//
// # Keys
//
// The cache writes no keys. A user needs permission to read all keys with the prefix.
//
// # Source
//
// Like the reflectors and the watch cache of Kubernetes. WaitRevision is etcd's
// WaitForRevision (its package cache) for all revisions, also those that changed no key of the
// prefix.
package cache
