package mutex

import (
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Options of a lock. The zero value, or nil, is right for most.
type Options struct {
	// LockDelay is how long the next holder waits after a holder that did not unlock, because it
	// died or was lost. The delay counts from the moment at which the next holder saw the lock
	// become free. With a delay of at least the time to live of all sessions, two holders do not
	// overlap even when etcd takes a lease away too early. All users of a lock must set the same
	// delay. [LockAll] keeps none, and a [RWMutex] takes none. While the database of etcd is full,
	// a waiter whose turn has come waits until there is space.
	LockDelay time.Duration

	// MaxHold is the longest time for which a lock may be held without [Lock.Progress], for work
	// that may hang while its process lives. Time in which the machine sleeps counts. Then the
	// context of the lock ends with [session.ErrOverdue], and 1 s later its key is deleted, so that
	// the next waiter acquires it. The session and its other holds live on. 0 is no limit. Users of
	// a name may differ in it. A lock that is held for 1 s, or half of MaxHold if that is shorter,
	// costs one more write, which shows the others since when it is held, see [Member.Since].
	MaxHold time.Duration

	// Detachable allows [Lock.Detach]. The guard of such a lock compares the value of its key, so
	// that [Adopt] can make it void, and the key is a new one for each lock that was detached. It
	// costs one more write for each lock. After a detached lock with a LockDelay, the next holder
	// waits as after a holder that did not unlock. A [RWMutex] takes no Detachable.
	Detachable bool

	// Cache lets Unlock keep the lock for the next Lock of the same session, which then sends no
	// request. The goroutines of a session that want the lock wait for each other, and one key
	// stands for all of them.
	//
	// While no other member waits, the key stays until no caller of the session has used it for 1
	// s. Once another waits, the goroutines of the session pass the lock on for 10 ms at most, and
	// the key is deleted as soon as none of them wants it, so another process waits for the holder
	// and then for a few milliseconds. A key stays for 10 s at most. If more than 16 others waited
	// when the session joined, the goroutines that still wait after these 10 ms join again with a
	// second key.
	//
	// Unlock deletes the key itself, and returns the error of that, when another member is seen to
	// wait and no goroutine of the session does, and always after [Lock.Fence], [Lock.Guard],
	// [Lock.Key] or [Lock.Downgrade] was called, a [Lock.Txn] failed, or the lock was held for
	// longer than 1 s with a MaxHold. So two locks never show the same fence. Otherwise Unlock
	// returns nil without a request: the session deletes the key later, and repeats that if etcd
	// rejects it. After such an Unlock, Fence returns 0. The hooks of the session report the key
	// and the fence of each hold, which are then the same for several.
	//
	// TryLock of the session gets its own unused key, which may then stay again. It leaves no other
	// key. [TryLockAll] returns [ErrLocked] for an unused key, also of its own session. TryLock of
	// another session returns it for a lock that is cached, see [LockedError].
	// [session.Session.Orphan] leaves an unused key until the lease ends. With a LockDelay, the key
	// is only passed to goroutines that already wait. A [RWMutex] and a Detachable lock take no
	// Cache.
	Cache bool

	// DeferUnlock lets Unlock return before the lock's key is deleted: the deletion is sent with the
	// next Lock or Unlock of the session, or after 1 ms. A goroutine that locks and unlocks again and
	// again then sends half as many requests.
	//
	// The context of the lock has ended when Unlock returns, and no transaction is applied under it
	// any more. A waiter of the same client is granted the lock at once, and of another client up to
	// 1 ms later. A TryLock of the same session first waits for the deletion. For all others, and for
	// Inspect, the lock is held until then.
	//
	// Such an Unlock returns nil, also if etcd rejects the deletion. The session repeats it then, and
	// [session.Session.Close] deletes the key. After a process has ended without Close, or after a
	// [session.Session.Orphan], the key may stay until the lease ends.
	//
	// Unlock deletes the key itself, and returns the error of that, after [Lock.Guard], [Lock.Key] or
	// [Lock.Downgrade] was called, when a [Lock.Txn] failed or is under way, and after a lock that was
	// held for 1 s, or half of MaxHold if that is shorter, with a MaxHold. A lock with a LockDelay,
	// Cache or Detachable takes no DeferUnlock. [LockAll] defers nothing.
	DeferUnlock bool
}

// check returns [gateway.ErrInvalid] for options that exclude each other.
func (o *Options) check() error {
	switch {
	case o.Detachable && o.Cache:
		return fmt.Errorf("%w: a detachable lock has no Cache", gateway.ErrInvalid)
	case o.DeferUnlock && (o.LockDelay != 0 || o.Detachable || o.Cache):
		return fmt.Errorf("%w: a lock with a LockDelay, Cache or Detachable has no DeferUnlock",
			gateway.ErrInvalid)
	}
	return nil
}
