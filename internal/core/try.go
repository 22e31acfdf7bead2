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

// sendUntilAnswered tries until there is an answer. inDoubt reports that copies of earlier tries
// may still be applied, and stillInDoubt that copies may be when it returns.
//
// An unanswered try may be applied at any time, as long as its epoch is the epoch of the record. So
// the next try also puts the record. Once that try is answered, all copies before it are void,
// whether it was applied or not. If it was applied, or only If prevented that, the record has
// changed. If its epoch was not the epoch of the record, the record had changed before.
//
// A full database rejects the put of the record. A write that only deletes is sent without it then,
// and stays in doubt.
func (s *Session) sendUntilAnswered(
	ctx context.Context, w Write, inDoubt bool,
) (out Outcome, stillInDoubt bool, _ error) {
	var pause *backoff.ExponentialBackOff
	var last error      // of the try before
	protocolErrors := 0 // answers that are not from etcd
	full := false       // the database is full, so the record cannot be put
	moves := 0          // changes of the epoch by others since the last lost answer
	again := func() {
		if pause == nil {
			pause = newBackoff()
		}
		wait(ctx, pause.NextBackOff())
	}
	out.Repeated = inDoubt
	started := time.Now()
	for {
		if err := s.Err(); err != nil {
			return out, inDoubt, err
		}
		epoch := s.epoch.Load()
		touch := inDoubt && !w.Guarded && !full
		began := time.Now()
		resp, err := s.c.Txn(ctx, s.txn(w, epoch, touch))
		if err != nil && ctx.Err() != nil { // err may match anything, because it has ctx's cause
			inDoubt = inDoubt || errors.Is(err, gateway.ErrUncertain)
			return out, inDoubt, s.endCause(err, last)
		}
		odd := fromElsewhere(err)
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
				return out, inDoubt, fmt.Errorf(
					"%w: the record is gone and is not", gateway.ErrProtocol)
			}
			continue
		case err == nil:
			done := s.read(w, epoch, touch, resp, &out)
			inDoubt = inDoubt && full && done
			if done {
				return out, inDoubt, s.unlessGone(out, inDoubt)
			}
			if moves++; moves > maxMoves {
				again()
			}
			continue
		case errors.Is(err, gateway.ErrLeaseNotFound):
			_, alive := s.c.KeepAliveOnce(ctx, s.lease)
			if !errors.Is(alive, gateway.ErrLeaseNotFound) || ctx.Err() != nil {
				return out, inDoubt, err // a lease of the caller is gone
			}
			s.end(ErrRevoked)
			return out, false, context.Cause(s.ctx) //nolint:contextcheck // only reads the cause
		case errors.Is(err, gateway.ErrNoSpace):
			out.Repeated = true // answered, so no copy of it is out; but it may have been applied
			if touch && !puts(w.Then) && !puts(w.Else) {
				full = true
				continue
			}
			return out, inDoubt, err
		case !errors.Is(err, gateway.ErrUncertain):
			return out, inDoubt, after(err, last)
		}
		if odd || isProtocolError(err) {
			if protocolErrors++; protocolErrors == maxProtocolErrors {
				return out, true, err
			}
		}
		last = err
		switch {
		case !inDoubt:
		case brokenOff(err) && time.Since(started) < tryFor:
			wait(ctx, tryEvery-time.Since(began))
		default:
			again()
		}
		inDoubt, out.Repeated, moves = true, true, 0
	}
}

// brokenOff reports that an answer was lost with its connection, and did not just take too long.
func brokenOff(err error) bool {
	e, ok := errors.AsType[*gateway.Error](err)
	return ok && e.Code == gateway.CodeUnavailable
}

// maxProtocolErrors bounds the answers of a server that is not etcd. After that many a call returns
// an error before its context ends.
const maxProtocolErrors = 5

// maxMoves is the number of changes of the epoch by others after which a write pauses. Other writes
// of the session change it only after a lost answer, and mostly after the answer to this write was
// lost, too. So another program keeps putting the record then.
const maxMoves = 5

func isProtocolError(err error) bool {
	return errors.Is(err, gateway.ErrResponseTooLarge) ||
		errors.Is(err, gateway.ErrProtocol) && !errors.Is(err, gateway.ErrUnavailable)
}

func puts(ops []gateway.Op) bool { return slices.ContainsFunc(ops, gateway.Op.Puts) }

// txn adds the epoch to a write, and changes the epoch if touch is true. The first response of the
// else-branch is the record.
func (s *Session) txn(w Write, epoch int64, touch bool) gateway.Txn {
	t := gateway.Txn{
		If: append(
			[]gateway.Cmp{gateway.CmpModRevision(s.record, gateway.Equal, epoch)},
			w.conditions()...),
		Then: w.Then,
		Else: append([]gateway.Op{gateway.OpGet(s.record)}, w.Else...),
	}
	if !touch {
		return t
	}
	move := gateway.OpPut(s.record, s.value, gateway.WithLease(s.lease))
	t.Then = append([]gateway.Op{move}, w.Then...)
	if len(t.If) > 1 {
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

// unlessGone returns nil if the answer to a write is the outcome. Otherwise the session's record is
// gone, or a copy of the write may still be applied, although If did not hold when it was answered.
func (s *Session) unlessGone(out Outcome, inDoubt bool) error {
	switch {
	case out.Applied:
		return nil
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case inDoubt:
		return errFull
	}
	return nil
}

// endCause returns the error of a try whose context ended.
func (s *Session) endCause(err, last error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return after(err, last)
}

// after adds the error of the try before, if there is one.
func after(err, last error) error {
	if last == nil {
		return err
	}
	return fmt.Errorf("%w (before: %w)", err, last)
}

func (s *Session) advanceEpoch(epoch int64) {
	for {
		old := s.epoch.Load()
		if epoch <= old || s.epoch.CompareAndSwap(old, epoch) {
			return
		}
	}
}
