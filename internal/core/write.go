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

// Write is one write of a session. It is applied at most once, and not at all after the session has ended at the server.
//
// A write may be tried several times: Then must have the same effect when it is applied on top of itself (a put of the
// same value, a delete), or If must keep it from that.
type Write struct {
	If   []gateway.Cmp // besides the session's own
	Then []gateway.Op
	Else []gateway.Op // reads that tell why If did not hold

	// Key is the one key that Then writes. If it is given, the write may share a transaction with others of the session;
	// If must be empty then. Line is where the key takes a place by its create_revision: no two of one line share.
	Key  string
	Line string
	// MayLinger: the write may wait while another transaction is under way, to go with the one behind it.
	MayLinger bool

	// Compensation gives what is applied in the background when the caller's context ends before the outcome is known; with CompleteOnCancel,
	// also when it ends before anything was sent. If it is nil, Key is deleted. Any goroutine may call it, once it is needed,
	// and it must not call the session. OnResolved is called when that has worked: no copy of the write can be applied any
	// more, and what Compensation gave has been. It is not called if the session ends before.
	Compensation     func() []gateway.Op
	CompleteOnCancel bool
	OnResolved       func()
	resolver         resolver // the same for the session's own

	// Guarded says that If holds for one incarnation of a key that Then deletes. Any answer makes all copies of such a write
	// void, so the epoch does not move for it. It is not undone when the database is full: it may be tried again.
	Guarded bool
	// Lean gives what is applied in place of Compensation while etcd's database is full and takes nothing that puts a key. If it is
	// nil, Compensation is applied then, if it puts nothing.
	Lean func() []gateway.Op
}

// resolver is told of the answer to Compensation. Before that, blocked may be called, perhaps more than once, because the database
// is full; lean tells that Lean has been applied.
type resolver interface {
	resolve(o Outcome)
	blocked(lean bool)
}

// Outcome is what became of a [Write].
type Outcome struct {
	Applied   bool // Then was, else Else
	Revision  int64
	Responses []gateway.OpResponse
	// Repeated says that an earlier try went unanswered. If Applied is false, that try may be the reason.
	Repeated bool
	// InDoubt says that the write, which only deletes, was applied while the database was full and the epoch could not move,
	// so an earlier copy of it may still come. OnResolved is called once none can.
	InDoubt bool
}

// Write applies w. When ctx ends before the outcome is known the error is both [gateway.ErrUncertain] and that of ctx.
// When the session ends it is [ErrLost].
func (s *Session) Write(ctx context.Context, w Write) (Outcome, error) {
	if w.Key != "" {
		return s.commit(ctx, w)
	}
	return s.single(ctx, w, false, false)
}

// single applies w in a transaction of its own. open and repeated say what became of it before.
func (s *Session) single(ctx context.Context, w Write, inDoubt, repeated bool) (Outcome, error) {
	bound, cancel := s.bound(ctx)
	out, inDoubt, err := s.write(bound, w, inDoubt)
	cancel()
	out.Repeated = out.Repeated || repeated
	return s.giveUp(ctx, w, out, inDoubt, err)
}

// giveUp has a write undone in the background if it failed and may have been applied, or may still be. One that was
// applied is settled there, too, if copies of it may still come.
func (s *Session) giveUp(ctx context.Context, w Write, out Outcome, inDoubt bool, err error) (Outcome, error) {
	switch {
	case err == nil && inDoubt:
		out.InDoubt = true
		w.Compensation, w.Lean = func() []gateway.Op { return w.Then }, nil
		s.resolve(w, true)
	case err == nil:
	case w.Guarded && errors.Is(err, gateway.ErrNoSpace) && ctx.Err() == nil:
	// An earlier try may have been applied even if none can be any more, as when another write has moved the epoch since.
	case inDoubt || out.Repeated || w.CompleteOnCancel && ctx.Err() != nil:
		s.resolve(w, inDoubt)
		err = uncertain(err)
	}
	return out, err
}

// bound gives a context that also ends with the session.
func (s *Session) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() { stop(); cancel(nil) }
}

// write tries until there is an answer. inDoubt says that copies are out whose fate nobody knows: on the way in from
// before, on the way out when it ends without an answer.
//
// An unanswered try may be applied at any time, as long as its epoch is the record's. So the next try rewrites the
// record along with what it does. Once that is answered, all copies before it are void, whatever the answer was: if it
// was applied, or would have been but for If, the record has moved; if the epoch was not the record's, it had moved
// before.
//
// A full database does not let the record be put. A write that only deletes then goes without, and stays in doubt.
func (s *Session) write(ctx context.Context, w Write, inDoubt bool) (out Outcome, stillInDoubt bool, _ error) {
	var pause *backoff.ExponentialBackOff
	var last error      // of the try before
	protocolErrors := 0 // answers that were none
	full := false       // the database, so that the record cannot be put
	moves := 0          // of the epoch, by others
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
		if odd || none { // by one answer: is it so?
			_ = s.Verify(ctx)
			if s.ctx.Err() != nil {
				return out, odd, context.Cause(s.ctx) //nolint:contextcheck // it only reads why the session ended
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
				return out, inDoubt, err // a lease of the caller's own
			}
			s.end(ErrRevoked)
			return out, false, context.Cause(s.ctx) //nolint:contextcheck // it only reads why the session ended
		case ctx.Err() != nil && s.ctx.Err() != nil:
			return out, inDoubt || errors.Is(err, gateway.ErrUncertain), context.Cause(s.ctx) //nolint:contextcheck // it only reads why the session ended
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

// maxProtocolErrors is how often something that is not etcd may answer before the caller is told, rather than the context.
const maxProtocolErrors = 5

// maxMoves is how often the epoch may have moved before a write pauses. Other writes of the session
// move it only when an answer was lost, so some program keeps putting the record then.
const maxMoves = 5

func isProtocolError(err error) bool {
	return errors.Is(err, gateway.ErrProtocol) && !errors.Is(err, gateway.ErrUnavailable)
}

func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMultiplier(2),
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

// txn puts the epoch around a write, and moves it if touch says so. The first answer of the else-branch is the record.
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
		// Only if it was the write's own compare that failed; a record that has moved need not move again.
		t.Else = append(t.Else, gateway.OpTxn(gateway.Txn{If: t.If[:1], Then: []gateway.Op{move}}))
	}
	return t
}

// read takes an answer apart. It reports false when the write must go again because another write has moved the epoch.
func (s *Session) read(w Write, epoch int64, touched bool, resp *gateway.TxnResponse, out *Outcome) (done bool) {
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
	case !s.recordPut(kvs[0]): // the epoch is another life's, or of no lease, and must not become this one's
		return true
	case kvs[0].ModRevision != epoch:
		s.advanceEpoch(kvs[0].ModRevision)
		return false
	case touched:
		s.advanceEpoch(resp.Revision)
	}
	return true
}

// goneOr is the error of a write that found the session's record gone.
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
