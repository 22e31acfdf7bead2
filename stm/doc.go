// Package stm is software transactional memory: a function reads and writes keys, and all of it
// happens at one moment, or not at all.
//
// # Usage
//
//	_, err := stm.Do(ctx, s, func(tx *stm.Tx) error {
//		from, err := tx.Get("accounts/1")
//		if err != nil {
//			return err
//		}
//		…
//		tx.Put("accounts/1", less)
//		tx.Put("accounts/2", more)
//		return nil
//	}, &stm.Options{Prefetch: []string{"accounts/1", "accounts/2"}})
//
// # Guarantees
//
// The writes of an attempt are applied together, at one revision, and only if the reads of the
// attempt are still right then, as far as [Isolation] requires. They are applied at most once, also
// when answers are lost, and never after the session has ended, see [session.Session.Txn].
//
// A function that fails or panics has changed nothing. Its error is the error of [Do], and its
// panic is in the goroutine of the caller, which can recover it. No read is answered by a member
// that lags behind.
//
// A transaction without a conflict sends one request for each [Tx.Get] of a new key, or one for all
// with [Options.Prefetch], and one that commits. One that only reads sends no commit, if its reads
// are of one revision. After a conflict, all reads of the attempt before are made in one request,
// the first time in the one that found the conflict. Small reads of one session that wait at the
// same time share a request, and so do small commits, if none writes a key that another reads or
// writes. Such commits have the same revision. With [Options.Cache], a transaction on keys that
// only its session changes sends its commit alone.
//
// # Limitations
//
// The function may run several times. While others keep changing the same keys, it is repeated
// until ctx ends: use a lock for keys under heavy contention. A transaction reads and writes at
// most [MaxOps] keys.
//
// # Concurrency
//
// [Do] is safe for concurrent use. A [Tx] belongs to one goroutine.
//
// # Errors
//
// Do returns the error of the function, and the context's error when ctx ends first, with
// [gateway.ErrUncertain] if the commit was under way. Check for ErrUncertain first. It returns
// [gateway.ErrInvalid] for options and keys that cannot be used, and [session.ErrLost] when the
// session has ended.
//
// # Keys
//
// The keys are the caller's own. A session writes a key of its own with each commit, see package
// session.
//
// # Source
//
// As clientv3's concurrency.NewSTM, with the same levels. Its default is [SerializableSnapshot],
// and here [Serializable].
package stm
