package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-go/holdfast/gateway"
)

// Write is one write of a session. It is applied at most once, and never after the session has
// ended at the server.
//
// A write may be tried several times. So applying Then twice must have the same effect as once (a
// put of the same value, a delete), or If must prevent it.
type Write struct {
	If   []gateway.Cmp // in addition to the session's own
	Then []gateway.Op
	Else []gateway.Op // reads that show why If did not hold

	// Key is the one key that Then writes. If it is set, the write may share a transaction with
	// others of the session; If must be empty then. Line is the line in which the key gets a place
	// by its create_revision: two writes of one line do not share a transaction.
	Key  string
	Line string
	// MayLinger: the write may wait while another transaction is under way, to share the next one.
	MayLinger bool

	// Compensation returns the operations that are applied in the background when the caller's
	// context ends before the outcome is known; with CompleteOnCancel, also when it ends before
	// anything was sent. If it is nil, Key is deleted. Any goroutine may call it, and it must not
	// call the session. OnResolved is called after that: no copy of the write can be applied any
	// more, and the Compensation was applied. OnResolved is not called if the session ends before.
	Compensation     func() []gateway.Op
	CompleteOnCancel bool
	OnResolved       func()
	resolver         resolver // the package's own OnResolved

	// Guarded: If holds for one incarnation of a key that Then deletes. Any answer makes all copies
	// of such a write void, so the epoch does not change for it. It is not compensated when the
	// database is full, because it may be tried again.
	Guarded bool
	// Lean returns the operations that are applied instead of the Compensation while etcd's
	// database is full and rejects every put. If it is nil, the Compensation is applied then if it
	// puts nothing.
	Lean func() []gateway.Op
}

// resolver receives the answer to the Compensation. Before that, blocked may be called, perhaps
// more than once, because the database is full; lean reports that Lean has been applied.
type resolver interface {
	resolve(o Outcome)
	blocked(lean bool)
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
}

// Write applies w. It returns [gateway.ErrUncertain] with the error of ctx when ctx ends before the
// outcome is known, and [ErrLost] when the session ends.
func (s *Session) Write(ctx context.Context, w Write) (Outcome, error) {
	if w.Key != "" {
		return s.commit(ctx, w)
	}
	return s.single(ctx, w, false, false)
}

// single applies w in a transaction of its own. inDoubt and repeated are the result of earlier
// tries.
func (s *Session) single(ctx context.Context, w Write, inDoubt, repeated bool) (Outcome, error) {
	bound, cancel := s.bound(ctx)
	out, inDoubt, err := s.write(bound, w, inDoubt)
	cancel()
	out.Repeated = out.Repeated || repeated
	return s.giveUp(ctx, w, out, inDoubt, err)
}

// giveUp resolves a write in the background if it failed and was, or may still be, applied. It also
// resolves a write that was applied if copies of it may still be.
func (s *Session) giveUp(
	ctx context.Context, w Write, out Outcome, inDoubt bool, err error,
) (Outcome, error) {
	switch {
	case err == nil && inDoubt:
		out.InDoubt = true
		w.Compensation, w.Lean = func() []gateway.Op { return w.Then }, nil
		s.resolve(w, true)
	case err == nil:
	case w.Guarded && errors.Is(err, gateway.ErrNoSpace) && ctx.Err() == nil:
	// An earlier try may have been applied even if none can be any more, because another write has
	// changed the epoch since.
	case inDoubt || out.Repeated || w.CompleteOnCancel && ctx.Err() != nil:
		s.resolve(w, inDoubt)
		err = uncertain(err)
	}
	return out, err
}

// bound returns a context that also ends with the session.
func (s *Session) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() { stop(); cancel(nil) }
}

// write tries until there is an answer. inDoubt reports that copies of earlier tries may still be
// applied, and stillInDoubt that copies may be when write returns.
//
// An unanswered try may be applied at any time, as long as its epoch is the epoch of the record. So
// the next try also puts the record. Once that try is answered, all copies before it are void,
// whether it was applied or not. If it was applied, or only If prevented that, the record has
// changed. If its epoch was not the epoch of the record, the record had changed before.
//
// A full database rejects the put of the record. A write that only deletes is sent without it then,
// and stays in doubt.
func (s *Session) write(
	ctx context.Context, w Write, inDoubt bool,
) (out Outcome, stillInDoubt bool, _ error) {
	var pause *backoff.ExponentialBackOff
	var last error      // of the try before
	protocolErrors := 0 // answers that are not from etcd
	full := false       // the database is full, so the record cannot be put
	moves := 0          // changes of the epoch by others
	again := func() {
		if pause == nil {
			pause = newBackoff()
		}
		wait(ctx, pause.NextBackOff())
	}
	out.Repeated = inDoubt
	for {
		if err := s.Err(); err != nil {
			return out, inDoubt, err
		}
		epoch := s.epoch.Load()
		touch := inDoubt && !w.Guarded && !full
		resp, err := s.c.Txn(ctx, s.txn(w, epoch, touch))
		odd := errors.Is(err, gateway.ErrClusterMismatch) || errors.Is(err, gateway.ErrRevisionRegressed)
		none := err == nil && !resp.Succeeded && older(resp.Responses[0].Get.KVs, epoch)
		if odd || none { // one answer is not enough
			_ = s.Verify(ctx)
			if s.ctx.Err() != nil {
				return out, odd, context.Cause(s.ctx) //nolint:contextcheck // only reads the cause
			}
		}
		switch {
		case none: // this copy was not applied
			if protocolErrors++; protocolErrors == maxProtocolErrors || ctx.Err() != nil {
				return out, inDoubt, fmt.Errorf("%w: the record is gone and is not", gateway.ErrProtocol)
			}
			continue
		case err == nil:
			done := s.read(w, epoch, touch, resp, &out)
			inDoubt = inDoubt && full && done
			if done {
				return out, inDoubt, s.goneOr(out)
			}
			if moves++; moves > maxMoves {
				again()
			}
			continue
		case errors.Is(err, gateway.ErrLeaseNotFound):
			if _, alive := s.c.KeepAliveOnce(ctx, s.lease); !errors.Is(alive, gateway.ErrLeaseNotFound) {
				return out, inDoubt, err // a lease of the caller is gone
			}
			s.end(ErrRevoked)
			return out, false, context.Cause(s.ctx) //nolint:contextcheck // only reads the cause
		case ctx.Err() != nil && s.ctx.Err() != nil:
			inDoubt = inDoubt || errors.Is(err, gateway.ErrUncertain)
			return out, inDoubt, context.Cause(s.ctx) //nolint:contextcheck // only reads the cause
		case errors.Is(err, gateway.ErrNoSpace):
			out.Repeated = true // answered, so no copy of it is out; but it may have been applied
			if touch && !puts(w.Then) && !puts(w.Else) {
				full = true
				continue
			}
			return out, inDoubt, err
		case !errors.Is(err, gateway.ErrUncertain) || ctx.Err() != nil:
			if last != nil {
				err = fmt.Errorf("%w (before: %w)", err, last)
			}
			return out, inDoubt || errors.Is(err, gateway.ErrUncertain), err
		}
		if odd || isProtocolError(err) {
			if protocolErrors++; protocolErrors == maxProtocolErrors {
				return out, true, err
			}
		}
		last = err
		if inDoubt {
			again()
		}
		inDoubt, out.Repeated = true, true
	}
}

// maxProtocolErrors bounds the answers of a server that is not etcd. After that many a call returns
// an error before its context ends.
const maxProtocolErrors = 5

// maxMoves is the number of changes of the epoch by others after which a write pauses. Other writes
// of the session change it only after a lost answer, so another program keeps putting the record
// then.
const maxMoves = 5

func isProtocolError(err error) bool {
	return errors.Is(err, gateway.ErrProtocol) && !errors.Is(err, gateway.ErrUnavailable)
}

func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func puts(ops []gateway.Op) bool { return slices.ContainsFunc(ops, gateway.Op.Puts) }

// txn adds the epoch to a write, and changes the epoch if touch is true. The first response of the
// else-branch is the record.
func (s *Session) txn(w Write, epoch int64, touch bool) gateway.Txn {
	t := gateway.Txn{
		If:   append([]gateway.Cmp{gateway.CmpModRevision(s.record, gateway.Equal, epoch)}, w.If...),
		Then: w.Then,
		Else: append([]gateway.Op{gateway.OpGet(s.record)}, w.Else...),
	}
	if !touch {
		return t
	}
	move := gateway.OpPut(s.record, s.value, gateway.WithLease(s.lease))
	t.Then = append([]gateway.Op{move}, w.Then...)
	if len(w.If) > 0 {
		// Only if the write's own compare failed. A record that has changed need not change again.
		t.Else = append(t.Else, gateway.OpTxn(gateway.Txn{If: t.If[:1], Then: []gateway.Op{move}}))
	}
	return t
}

// read reads a response. It returns false if the write must be sent again because another write has
// changed the epoch.
func (s *Session) read(
	w Write, epoch int64, touched bool, resp *gateway.TxnResponse, out *Outcome,
) (done bool) {
	out.Applied, out.Revision = resp.Succeeded, resp.Revision
	if resp.Succeeded {
		out.Responses = resp.Responses
		if touched {
			s.advanceEpoch(resp.Revision)
			out.Responses = resp.Responses[1:]
		}
		return true
	}
	kvs := resp.Responses[0].Get.KVs
	out.Responses = resp.Responses[1 : 1+len(w.Else)]
	switch {
	case !s.recordPut(kvs[0]): // its epoch must not become this session's
		return true
	case kvs[0].ModRevision != epoch:
		s.advanceEpoch(kvs[0].ModRevision)
		return false
	case touched:
		s.advanceEpoch(resp.Revision)
	}
	return true
}

// goneOr returns the session's error if the write found the session's record gone.
func (s *Session) goneOr(out Outcome) error {
	if !out.Applied && s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return nil
}

func (s *Session) advanceEpoch(epoch int64) {
	for {
		old := s.epoch.Load()
		if epoch <= old || s.epoch.CompareAndSwap(old, epoch) {
			return
		}
	}
}
