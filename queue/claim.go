package queue

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// claim is a try to claim an item that the cache has handed out, and its outcome.
type claim struct {
	cache   *itemCache
	entry   *entry
	tag     string // the value of the claim's key, which no other try has
	pending *core.Pending
	known   bool // the value, by the watch
	slot    int  // or noSlot
	ahead   bool // made ahead of a caller: the attempt is counted later

	fence    int64             // 0 if it is not ours
	claims   int               // how often the item was claimed for a caller, this time included
	attempts int               // as many, without those that were taken back
	item     []byte            // if it is known, the claim is only of this value
	gone     bool              // there is no such item any more
	found    *gateway.KeyValue // another's claim, or nil
	foundAt  int64             // the revision of the answer that has it

	slotOther int64 // the revision of another's slot
}

// beginClaims returns the function that begins to claim an item. [Queue.finish] or
// [Queue.releaseClaim] must follow.
func (q *Queue) beginClaims(ctx context.Context, ic *itemCache, ahead bool) claimFunc {
	return func(e *entry) *claim {
		c := &claim{
			cache: ic, entry: e, tag: q.newID(), item: e.value, known: e.value != nil, ahead: ahead,
			slot: ic.takeSlot(),
		}
		e.value = nil // it becomes the caller's
		c.pending = q.s.Submit(ctx, q.claimWrite(c))
		return c
	}
}

// claimWrite puts the claim if the item is there and unclaimed. Unless the claim is ahead of its
// caller, it also counts the attempt. A second copy finds the first.
func (q *Queue) claimWrite(c *claim) core.Write {
	item, key := q.keys.items+c.entry.key(), q.keys.claims+c.entry.place
	there := gateway.CmpCreateRevision(item, gateway.Equal, c.entry.create)
	count := gateway.OpPut(q.keys.counts+c.entry.place, nil, gateway.PrevKV())
	if c.ahead {
		count = gateway.OpGet(q.keys.counts+c.entry.place, gateway.KeysOnly())
	}
	then := []gateway.Op{
		gateway.OpPut(key, []byte(c.tag), gateway.WithLease(q.s.Lease())), count,
	}
	weight := claimWeight
	if c.known {
		there = gateway.CmpModRevision(item, gateway.Equal, c.entry.create)
		weight = knownWeight
	} else {
		then = append(then, gateway.OpGet(item))
	}
	absent, found := []string{key}, []gateway.Op{gateway.OpGet(key)}
	if c.slot != noSlot {
		slot := q.keys.slotKey(c.slot)
		then = append(then, gateway.OpPut(slot, []byte(c.tag), gateway.WithLease(q.s.Lease())))
		absent, found = append(absent, slot), append(found, gateway.OpGet(slot))
		weight++
	}
	return core.Write{
		If:           []gateway.Cmp{there},
		Absent:       absent,
		Weight:       weight,
		Then:         then,
		Else:         found,
		Compensation: q.unclaim(c),
		Lean:         q.unclaimLean(c),
	}
}

// unclaim deletes a claim, and takes its attempt back if that was counted.
func (q *Queue) unclaim(c *claim) func() []gateway.Op {
	return q.unclaimAnd(c, gateway.OpPut(q.keys.returns+c.entry.place, nil))
}

// unclaimLean is unclaim for a full database: a second attempt, or a later one, counts although
// no caller got the item.
func (q *Queue) unclaimLean(c *claim) func() []gateway.Op { return q.unclaimAnd(c) }

func (q *Queue) unclaimAnd(c *claim, uncount ...gateway.Op) func() []gateway.Op {
	key, count := q.keys.claims+c.entry.place, q.keys.counts+c.entry.place
	then := []gateway.Op{gateway.OpDelete(key)}
	switch {
	case !c.ahead:
		then = append(then, q.takeBack(c.entry.place, uncount...))
	case c.claims == 1: // the attempt may not have been counted
		then = append(then, q.takeBack(c.entry.place))
	case c.claims > 1:
		then = append(then, gateway.OpTxn(gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpVersion(count, gateway.Equal, int64(c.claims))},
			Then: uncount,
		}))
	}
	ours := gateway.CmpValue(key, gateway.Equal, []byte(c.tag))
	undo := []gateway.Op{gateway.OpTxn(gateway.Txn{If: []gateway.Cmp{ours}, Then: then})}
	if c.slot != noSlot { // also if another client has deleted the claim
		undo = append(undo, q.freeSlotOf(c.slot, c.tag))
	}
	return func() []gateway.Op { return undo }
}

// takeBack deletes the count of an item's claims if it is 1, and else applies ops.
func (q *Queue) takeBack(place string, ops ...gateway.Op) gateway.Op {
	count := q.keys.counts + place
	return gateway.OpTxn(gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpVersion(count, gateway.Equal, 1)},
		Then: []gateway.Op{gateway.OpDelete(count)},
		Else: ops,
	})
}

func (c *claim) read(resp core.Outcome) {
	if resp.Applied {
		c.fence, c.claims = resp.Revision, 1
		switch count := resp.Responses[1]; {
		case count.Put != nil && count.Put.PrevKV != nil:
			c.claims += int(count.Put.PrevKV.Version)
		case count.Get != nil && len(count.Get.KVs) > 0:
			c.claims += int(count.Get.KVs[0].Version)
		}
		c.attempts = c.claims
		if !c.known && len(resp.Responses[2].Get.KVs) > 0 { // else fetch reads it
			c.item = resp.Responses[2].Get.KVs[0].Value
		}
		return
	}
	if c.slot != noSlot {
		if slots := resp.Responses[1].Get.KVs; len(slots) > 0 && string(slots[0].Value) != c.tag {
			c.slotOther = slots[0].CreateRevision
		}
	}
	switch claims := resp.Responses[0].Get.KVs; {
	case len(claims) == 0 && c.slotOther > 0: // the item may be there
	case len(claims) == 0: // so it was the item's compare that failed
		// It may have been written again if its value was compared, and if this try was repeated,
		// another client may have deleted the claim.
		c.gone = !c.known && !resp.Repeated
	case string(claims[0].Value) != c.tag:
		c.found, c.foundAt = &claims[0], resp.Revision
	default: // by a try whose answer was lost
		c.fence = claims[0].CreateRevision
	}
}

// fetch reads what a claim did not tell: all, if it was found to be ours only by its repetition,
// and the claims that were taken back, which exist only if there were two claims before.
func (q *Queue) fetch(ctx context.Context, c *claim) error {
	if c.item != nil && c.claims > 0 && c.claims < 3 {
		return nil
	}
	ctx, cancel := q.s.Bound(ctx)
	defer cancel()
	resp, err := q.s.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(q.keys.items + c.entry.key()),
		gateway.OpGet(q.keys.counts+c.entry.place, gateway.KeysOnly()),
		gateway.OpGet(q.keys.returns+c.entry.place, gateway.KeysOnly()),
	}})
	if err != nil {
		return err
	}
	version := func(i int) int {
		if kvs := resp.Responses[i].Get.KVs; len(kvs) > 0 {
			return int(kvs[0].Version)
		}
		return 0
	}
	items := resp.Responses[0].Get.KVs
	c.claims = version(1)
	if c.ahead {
		c.claims++
	}
	if len(items) == 0 || c.claims == 0 {
		return errNoItem
	}
	c.item, c.attempts = items[0].Value, max(1, c.claims-version(2))
	return nil
}

// finish makes a message of a claim. Without a message and without an error, another consumer was
// faster, or the item has become a dead letter.
func (q *Queue) finish(ctx context.Context, c *claim) (*Message, error) {
	out, err := c.pending.Wait(ctx)
	if err != nil {
		c.cache.slotAnswered(c)
		c.cache.giveBack(c.entry)
		return nil, err
	}
	c.read(out)
	c.cache.slotAnswered(c)
	if c.fence == 0 {
		c.cache.lost(c)
		return nil, nil
	}
	there := c.cache.claimed(c.entry, c.fence)
	if err = q.fetch(ctx, c); err == nil {
		err = q.s.Ready(ctx)
	}
	if err == nil && there && c.ahead && q.opt.MaxAttempts > 0 {
		there, err = q.countAttempt(ctx, c)
	}
	if err != nil || !there {
		q.s.Compensate(core.Write{Compensation: q.unclaim(c), Lean: q.unclaimLean(c)})
		return nil, err
	}
	return q.deliver(ctx, c)
}

// countAttempt counts the attempt of a claim ahead, before its message is delivered, so that it
// counts even if the consumer then crashes. It returns false if the claim has been lost.
func (q *Queue) countAttempt(ctx context.Context, c *claim) (bool, error) {
	key, count := q.keys.claims+c.entry.place, q.keys.counts+c.entry.place
	out, err := q.s.Write(ctx, core.Write{
		If: []gateway.Cmp{
			gateway.CmpCreateRevision(key, gateway.Equal, c.fence),
			gateway.CmpVersion(count, gateway.Equal, int64(c.claims-1)),
		},
		Then: []gateway.Op{gateway.OpPut(count, nil)}, Weight: 1,
		Compensation: q.unclaim(c), Lean: q.unclaimLean(c),
	})
	return err == nil && (out.Applied || out.Repeated), err
}

// deliver returns the message, unless the item is not to be delivered.
func (q *Queue) deliver(ctx context.Context, c *claim) (*Message, error) {
	m := &Message{
		q: q, cache: c.cache, entry: c.entry, place: c.entry.place, Group: c.entry.group,
		claims: c.claims, slot: c.slot,
		tag: c.tag,
	}
	m.counted = !c.ahead || q.opt.MaxAttempts > 0
	m.hold, m.grip = q.s.Hold(q.keys.claims+m.place, c.fence, func() {})
	rec, err := decode(c.item)
	if err != nil {
		m.ID, m.Value, m.Attempt = q.newID(), c.item, c.attempts
		return nil, m.drop(ctx, "not an item of this library")
	}
	m.ID, m.Value, m.Enqueued = rec.ID, rec.value, toTime(rec.Enqueued)
	m.Attempt = rec.Attempts + c.attempts
	m.Priority, _ = priorityOf(m.place)
	if limit := q.opt.MaxAttempts; limit > 0 && m.Attempt > limit {
		m.Attempt-- // this one is not delivered
		return nil, m.drop(ctx, fmt.Sprintf("given up after %d attempts", m.Attempt))
	}
	q.opt.Hooks.delivered(ctx, m)
	return m, nil
}
