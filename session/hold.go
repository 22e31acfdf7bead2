package session

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Hold has the methods that all holds share: a lock, a permit, a leader's term, a held barrier or
// an entry of one, a run of package once, a tick, a shard, a message of a queue. All are safe for
// concurrent use.
//
// Each hold also has a verb that releases it, such as Unlock or Resign: it ends the hold's context
// at once and then deletes the key, so that the next waiter acquires it. The verb returns
// [ErrNotHeld] when the hold had ended before. If ctx ends first it returns [gateway.ErrUncertain]
// and the context's error, and the session continues the release in the background; another call
// waits for that. If ctx had ended before the call, or is the hold's own context, the verb has 1 s
// of its own. After any other error (etcd rejected the request) the key keeps others out until the
// session ends: repeat the call.
//
// Do of a recipe acquires a hold, runs fn, and releases the hold, also if fn panics or ends its
// goroutine; it does not recover. The context of fn ends with ctx, and when the hold is lost; fn
// must return then, because Do waits for it. Do returns the error of fn joined with the error of
// the hold: [ErrLost] when that was lost before it was released, although fn may have finished.
//
// Run of a recipe repeats Do each time the hold is lost, and ignores the result of fn then. The
// function has sessions of its own, and goes on as [Run] does. The method repeats Do only while its
// session lives, after another client has deleted the hold's key, or after the hold was overdue.
type Hold interface {
	// Context ends when the hold ends: before the lease can expire, when the server revokes the
	// lease, when the hold's key is deleted, when the hold is overdue, or when it is released. Its
	// cause wraps [ErrLost], or is [ErrReleased]. A key is watched from an age of 1 s on, because
	// most holds are shorter: if it is deleted before, the context ends at that age. Txn and Guard
	// notice at once.
	Context() context.Context
	// Err returns nil while the hold may be relied on, and the reason after it has ended. It looks
	// at the clock.
	Err() error
	// Fence returns the revision that created the hold's key. Of two holds of one name the later
	// one has the greater fence. Pass it to each store outside of etcd, and have the store reject a
	// fence smaller than the greatest it has seen.
	Fence() int64
	// Guard returns a compare that holds for as long as the hold's key exists. A transaction with
	// it is applied only under this hold, even if the clocks are wrong.
	Guard() gateway.Cmp
	// Key returns the hold's key in etcd.
	Key() string
	// Deadline returns the time at which the hold ends unless the session is renewed before, or
	// work that has a MaxHold makes progress.
	Deadline() time.Time
	// Txn applies a transaction at most once, and only while the hold's key exists. It returns
	// [gateway.ErrUncertain] when ctx ended before the outcome was known. It returns [ErrNotHeld]
	// when the hold has ended: then the transaction was not applied and will not be. See
	// [Session.Txn] for lost answers.
	Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error)
}
