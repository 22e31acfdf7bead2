package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// append puts the first n records of a batch, at most once, and returns whether it did. A session
// finds out about a lost answer by a key under its lease.
func (p *producer) append(
	ctx context.Context, m *batch, n int,
) (*gateway.TxnResponse, error) {
	t := p.appendTxn(m, n)
	if s, ok := p.host.(*core.Session); ok {
		return s.TxnFlat(ctx, t, 0)
	}
	return p.appendByClient(ctx, t, m.records[0])
}

// appendByClient sends an append until it is answered. Each append compares the mod_revision of the
// tail and puts the tail, so none of its copies can be applied once the tail has changed. If one
// was applied, it was that change.
func (p *producer) appendByClient(
	ctx context.Context, t gateway.Txn, first *record,
) (*gateway.TxnResponse, error) {
	inDoubt := false
	for pause := firstAppendPause; ; pause = min(2*pause, time.Second) {
		resp, err := p.host.Client().Txn(ctx, t)
		if err == nil && !resp.Succeeded && inDoubt {
			resp, err = p.resolve(ctx, resp, first)
		}
		switch {
		case err == nil && resp != nil:
			return resp, nil
		case err == nil:
			continue
		}
		inDoubt = inDoubt || errors.Is(err, gateway.ErrUncertain)
		again := errors.Is(err, gateway.ErrUncertain) || errors.Is(err, gateway.ErrUnavailable)
		if again && !errors.Is(err, gateway.ErrNoSpace) && ctx.Err() == nil {
			if err = sleep(ctx, pause); err == nil {
				continue
			}
		}
		if inDoubt && !errors.Is(err, gateway.ErrUncertain) {
			err = fmt.Errorf("%w: %w", gateway.ErrUncertain, err)
		}
		return nil, err
	}
}

// resolve returns the answer to an append of which an earlier copy was not answered and a later one
// was not applied. It returns nil if the append has to be sent again.
func (p *producer) resolve(
	ctx context.Context, resp *gateway.TxnResponse, first *record,
) (*gateway.TxnResponse, error) {
	if now, err := parseTail(resp.Responses[0].Get); err == nil && now.mod == p.end.mod {
		// Another compare has failed. The earlier copy must not be applied when that holds again.
		same := gateway.CmpModRevision(p.keys.tail, gateway.Equal, p.end.mod)
		put := gateway.OpPut(p.keys.tail, encodeTail(p.end.next, p.end.bound, p.end.pressure))
		_, err := p.host.Client().Txn(ctx, gateway.Txn{
			If: []gateway.Cmp{same}, Then: []gateway.Op{put},
		})
		return nil, err
	}
	key, c := p.keyOf(first, p.end.next), p.host.Client()
	ev, err := c.WatchOnce(ctx, p.keys.tail, gateway.AtRevision(p.end.at+1))
	var found *gateway.GetResponse
	if err == nil {
		found, err = c.Get(ctx, key, gateway.AtRevision(ev.KV.ModRevision))
	}
	why := err
	if errors.Is(err, gateway.ErrCompacted) {
		found, err = c.Get(ctx, key)
	}
	if err != nil {
		return nil, err
	}
	for _, kv := range found.KVs {
		if r, err := decode(kv.Value); err == nil && r.ID == first.ID {
			at := gateway.Header{Revision: kv.CreateRevision}
			return &gateway.TxnResponse{Header: at, Succeeded: true}, nil
		}
	}
	return resp, why // which is that the item may have been there
}
