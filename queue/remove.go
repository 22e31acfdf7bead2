package queue

import (
	"context"
	"errors"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// Remove removes the item with this ID: one that is ready or delayed, or a dead letter. The next
// item of its group has its turn then, and a queue at its MaxLength has room. The ID is not kept
// with the place of an item, so Remove reads the queue up to the item, which takes longer the more
// items there are. It is meant for operators.
//
// Returns [ErrClaimed] when a consumer has claimed the item, because the consumer may be working on
// it: the item may then be acked, or be delivered again. Returns [ErrNoItem] when there is no such
// item, [session.ErrLost] when the session has ended, and ctx's error when ctx ends, with
// [gateway.ErrUncertain] if the write was in flight. A DedupID is remembered after the item was
// removed.
func (q *Queue) Remove(ctx context.Context, id string) error {
	err := q.check()
	if err == nil && !plainID(id) {
		err = invalid("the ID %q, which no item can have", id)
	}
	if err == nil {
		err = q.whyEnded(q.remove(ctx, id))
	}
	if err != nil {
		return q.wrap("remove", err)
	}
	return nil
}

func (q *Queue) remove(ctx context.Context, id string) error {
	ctx, cancel := q.s.Bound(ctx)
	defer cancel()
	for {
		kv, err := q.find(ctx, id)
		switch {
		case errors.Is(err, gateway.ErrCompacted):
			continue
		case err != nil:
			return err
		}
		txn := gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpCreateRevision(kv.Key, gateway.Equal, kv.CreateRevision)},
			Then: []gateway.Op{gateway.OpDelete(kv.Key)},
		}
		if item, ok := strings.CutPrefix(kv.Key, q.keys.items); ok {
			place, _ := parseItemKey(item)
			for _, prefix := range []string{q.keys.counts, q.keys.returns, q.keys.retries} {
				txn.Then = append(txn.Then, gateway.OpDelete(prefix+place))
			}
			claim := q.keys.claims + place
			txn.If = append(txn.If, gateway.CmpCreateRevision(claim, gateway.Equal, 0))
			txn.Else = []gateway.Op{
				gateway.OpGet(kv.Key, gateway.CountOnly()), gateway.OpGet(claim, gateway.CountOnly()),
			}
		}
		resp, err := q.s.Txn(ctx, txn)
		if err != nil || resp.Succeeded {
			return err
		}
		// It has been moved, unless it is still there, with a claim.
		if r := resp.Responses; len(r) == 2 && r[0].Get.Count > 0 && r[1].Get.Count > 0 {
			return ErrClaimed
		}
	}
}

// find returns the key of an item, wherever it is. It reads all at one revision, because the item
// may be moved meanwhile.
func (q *Queue) find(ctx context.Context, id string) (gateway.KeyValue, error) {
	c := q.s.Client()
	resp, err := c.Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(q.keys.dead+id, gateway.KeysOnly()), gateway.OpGet(q.keys.gaps),
		gateway.OpGet(q.keys.tail, gateway.KeysOnly()),
	}})
	if err != nil {
		return gateway.KeyValue{}, err
	}
	if dead := resp.Responses[0].Get.KVs; len(dead) > 0 {
		return dead[0], nil
	}
	known := gapsOf(resp.Responses[1].Get, resp.Responses[2].Get)
	at := gateway.AtRevision(resp.Revision)
	named := func(kv gateway.KeyValue) bool { return strings.HasSuffix(kv.Key, "/"+id) }
	end := until(q.keys.delayed)
	kv, err := search(ctx, c, q.keys.delayed, end, named, at, gateway.KeysOnly())
	if kv.Key != "" || err != nil {
		return kv, err
	}
	stored := func(kv gateway.KeyValue) bool {
		r, err := decode(kv.Value)
		return err == nil && r.ID == id
	}
	for _, r := range known.between(q.keys.items, "") {
		kv, err := search(ctx, c, r.from, r.to, stored, at)
		if kv.Key != "" || err != nil {
			return kv, err
		}
	}
	return gateway.KeyValue{}, ErrNoItem
}

// search returns the first key of a range that fits, or none.
func search(
	ctx context.Context, c *gateway.Client, from, to string, fits func(gateway.KeyValue) bool,
	opts ...gateway.Option,
) (gateway.KeyValue, error) {
	for limit := leastFound; ; {
		got, err := c.Get(ctx, from,
			append([]gateway.Option{gateway.Range(to), gateway.Limit(limit)}, opts...)...)
		switch {
		case errors.Is(err, gateway.ErrResponseTooLarge) && limit > leastFound:
			limit = leastFound
			continue
		case err != nil:
			return gateway.KeyValue{}, err
		}
		for _, kv := range got.KVs {
			if fits(kv) {
				return kv, nil
			}
			from = kv.Key + "\x00"
		}
		if !got.More || len(got.KVs) == 0 {
			return gateway.KeyValue{}, nil
		}
		limit = min(2*limit, mostFound)
	}
}
