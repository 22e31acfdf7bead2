package core

import (
	"cmp"
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Write is one write of a session. It is applied at most once, and never after the session has
// ended at the server.
//
// A write may be tried several times. So applying Then twice must have the same effect as once (a
// put of the same value, a delete), or If must prevent it.
//
// A write with a Key or a Weight shares a transaction with others of the session when it has to
// wait for one. Any other write has a transaction of its own, at once.
type Write struct {
	If   []gateway.Cmp // in addition to the session's own
	Then []gateway.Op
	Else []gateway.Op // reads that show why If did not hold

	// Key is the one key that Then writes. If must be empty then. Line is the line in which the key
	// gets a place by its create_revision: two writes of one line do not share a transaction.
	Key  string
	Line string

	// Weight, if not zero, is the share that a write takes of the [MaxOps] of a transaction: one,
	// and one more for each [WeightBytes] that it puts or reads. Of two weighted writes that may be
	// under way at once, none may write a key of the other.
	Weight int
	// Deletes are the keys that the first operations of Then delete. They exist if If holds. They
	// end in numbers with equally many digits, with no other keys in between, so that one operation
	// deletes neighbours. Only for writes with a Weight.
	Deletes []string
	// Absent are keys like Deletes that must not exist, in addition to If.
	Absent []string

	// Compensation returns the operations that are applied in the background when the caller's
	// context ends before the outcome is known; with CompleteOnCancel, also when it ends before
	// anything was sent. If it is nil, Key is deleted. Any goroutine may call it, and it must not
	// call the session. OnResolved is called after that: no copy of the write can be applied any
	// more, and the Compensation was applied. OnResolved is not called if the session ends before.
	Compensation     func() []gateway.Op
	CompleteOnCancel bool
	OnResolved       func()
	resolver         resolver // the package's own OnResolved
	// receipt is for TxnFlat: the first of If compares its mod_revision, the first of Then puts it,
	// the first of Else reads it.
	receipt *receipt

	// Guarded: If holds for one incarnation of a key that Then deletes. Any answer makes all copies
	// of such a write void, so the epoch does not change for it. It is not compensated when the
	// database is full, because it may be tried again.
	Guarded bool
	// Lean returns the operations that are applied instead of the Compensation while etcd's
	// database is full and rejects every put. If it is nil, the Compensation is applied then if it
	// puts nothing.
	Lean func() []gateway.Op
	// Fallback returns the operations that are applied instead of the Compensation when etcd
	// rejects that for good, for example because one of its puts names a lease that has expired.
	// Only for writes of this package.
	Fallback func() []gateway.Op
}

// resolver receives the answer to the Compensation. Before that, blockedFull may be called, perhaps
// more than once, because the database is full; lean reports that Lean has been applied.
type resolver interface {
	resolve(o Outcome)
	blockedFull(lean bool)
	fellBack() // instead of resolve: the Fallback was applied
}

// Outcome is the result of a [Write].
type Outcome struct {
	Applied   bool // Then was applied, and otherwise Else
	Revision  int64
	Responses []gateway.OpResponse
	// Repeated: an earlier try was not answered. If Applied is false, that try may be the reason.
	Repeated bool
	// InDoubt: the write, which only deletes, was applied while the database was full and the epoch
	// could not change, so an earlier copy of it may still be applied. OnResolved is called once
	// none can be.
	InDoubt bool

	otherReceipt bool // another write's receipt was put for it
	resolving    bool // the session resolves the write in the background
}

// Write applies w. The request that carries the write has the values of ctx, or of the context of
// another write in the same transaction. Write returns the error of ctx when ctx ends before the
// outcome is known, with [gateway.ErrUncertain] if the write or its Compensation may be applied. It
// returns [ErrLost] when the session ends. A write that returned ErrUncertain is resolved, see
// [Write], unless it is Guarded and the database was full.
func (s *Session) Write(ctx context.Context, w Write) (Outcome, error) {
	switch {
	case w.Key == "" && w.Weight == 0:
		bound, cancel := s.bound(ctx)
		out, inDoubt, err := s.sendUntilAnswered(bound, w, false)
		cancel(nil)
		return s.giveUp(ctx, w, out, inDoubt, err)
	case ctx.Err() != nil:
		return s.giveUp(ctx, w, Outcome{}, false, cmp.Or(s.Err(), ctxerr.Of(ctx)))
	}
	return s.submitOwn(ctx, w).Wait(ctx)
}

// giveUp resolves a write in the background if it failed and was, or may still be, applied. It also
// resolves a write that was applied if copies of it may still be.
func (s *Session) giveUp(
	ctx context.Context, w Write, out Outcome, inDoubt bool, err error,
) (Outcome, error) {
	switch {
	case err == nil && inDoubt && !w.Guarded:
		out.InDoubt = true
		then := w.Then // else w would be on the heap in each call
		w.Compensation, w.Lean = func() []gateway.Op { return then }, nil
		s.resolve(w, true)
	case err == nil:
	case w.Guarded && errors.Is(err, gateway.ErrNoSpace) && ctx.Err() == nil:
	// An earlier try may have been applied even if none can be any more, because another write has
	// changed the epoch since. A write that returns ErrUncertain, which ctx's cause may match, is
	// resolved even if it was not sent, because its caller waits for OnResolved.
	case inDoubt || out.Repeated || errors.Is(err, gateway.ErrUncertain) ||
		w.CompleteOnCancel && ctx.Err() != nil:
		s.resolve(w, inDoubt)
		out.resolving, err = true, uncertain(err)
	}
	return out, err
}

// Bound returns a context that also ends with the session.
func (s *Session) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := s.bound(ctx)
	return ctx, func() { cancel(nil) }
}

// bound returns a context that also ends with the session.
func (s *Session) bound(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func(cause error) { stop(); cancel(cause) }
}
