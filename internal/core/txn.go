package core

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
)

// Txn is documented at session.Session.Txn.
func (s *Session) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	return s.transact(ctx, t, false, 0)
}

// TxnFlat is Txn with one level of nesting less, which is less work for the server. t.Else must
// only read a few keys, because it also runs when the session's own conditions do not hold, and
// again after a lost answer, so that a put would be applied several times.
//
// With a weight, see [Write], it may share a request with other writes of the session. Of two that
// may be under way at once, none may write a key that the other reads or writes: etcd evaluates the
// conditions of both before it applies any.
func (s *Session) TxnFlat(
	ctx context.Context, t gateway.Txn, weight int,
) (*gateway.TxnResponse, error) {
	return s.transact(ctx, t, true, weight)
}

// transact is Txn under all of guard. It returns [ErrNotHeld] when one of them does not hold.
func (s *Session) transact(
	ctx context.Context, t gateway.Txn, flat bool, weight int, guard ...gateway.Cmp,
) (*gateway.TxnResponse, error) {
	r := s.takeReceipt()
	mark := func(branch string, ops []gateway.Op) []gateway.Op {
		put := gateway.OpPut(r.key, []byte(branch), gateway.WithLease(s.lease))
		return append([]gateway.Op{put}, ops...)
	}
	w := Write{
		Else:         []gateway.Op{gateway.OpGet(r.key)},
		Compensation: func() []gateway.Op { return []gateway.Op{gateway.OpGet(r.key)} },
		resolver:     r,
		Weight:       weight,
	}
	if flat {
		w.receipt = r
		guard, w.Then, w.Else = t.If, mark("then", t.Then), append(w.Else, t.Else...)
	} else {
		w.Then = []gateway.Op{gateway.OpTxn(gateway.Txn{
			If: t.If, Then: mark("then", t.Then), Else: mark("else", t.Else),
		})}
	}
	pause := newBackoff()
	for ; ; wait(ctx, pause.NextBackOff()) {
		w.If = append([]gateway.Cmp{gateway.CmpModRevision(r.key, gateway.Equal, r.mod)}, guard...)
		out, err := s.Write(ctx, w)
		if err != nil {
			if !errors.Is(err, gateway.ErrUncertain) {
				r.free(r.mod)
			}
			return nil, err
		}
		resp := &gateway.TxnResponse{Header: gateway.Header{Revision: out.Revision}}
		if out.Applied {
			own := &gateway.TxnResponse{Succeeded: true, Responses: out.Responses}
			if !flat {
				own = out.Responses[0].Txn
			}
			resp.Succeeded, resp.Responses = own.Succeeded, own.Responses
			switch {
			case out.otherReceipt:
				r.free(r.mod)
				return resp, nil
			case len(resp.Responses) > 0: // else the answer was lost
				resp.Responses = resp.Responses[1:]
			}
			r.free(out.Revision)
			return resp, nil
		}
		found := out.Responses[0].Get
		switch now := modOf(found); {
		case now > r.mod && out.Repeated: // the receipt of a try whose answer was lost
			resp.Revision, resp.Succeeded = now, string(found.KVs[0].Value) == "then"
			r.free(now)
			return resp, nil
		case now != r.mod: // another client has put the receipt; no copy of ours is out
			r.mod = now
		case flat:
			resp.Responses = out.Responses[1:]
			r.free(r.mod)
			return resp, nil
		default:
			r.free(r.mod)
			return nil, ErrNotHeld
		}
	}
}
