package queue

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// claim is a try to claim an item that the feed has handed out, and what came of it.
type claim struct {
	feed    *itemCache
	entry   *entry
	tag     string // of this try alone
	pending *core.Pending
	known   bool // the value, by the watch
	ahead   bool // it was begun before anybody asked for it
	ripe    bool // nobody has come for it for a while after it was answered

	fence    int64  // 0 if it is not ours
	claims   int    // how often the item was claimed, this time included
	attempts int    // as many, without those that were taken back
	item     []byte // if it is known, the claim is only of this value
	gone     bool   // there is no such item any more
	other    int64  // the revision of another's claim
}

const (
	claimWeight = core.MaxOps / 16 // a transaction claims 16 items or so whose values come with the answer
	knownWeight = 2
)

// claimWrite puts the claim and counts the attempt, if the item is there and unclaimed. A second
// copy finds the first.
func (q *Queue) claimWrite(c *claim) core.Write {
	item, key, count := q.keys.items+c.entry.place, q.keys.claims+c.entry.place, q.keys.counts+c.entry.place
	there := gateway.CmpCreateRevision(item, gateway.Equal, c.entry.create)
	then := []gateway.Op{
		gateway.OpPut(key, []byte(c.tag), gateway.WithLease(q.s.Lease())),
		gateway.OpPut(count, nil, gateway.PrevKV()),
	}
	if c.known {
		there = gateway.CmpModRevision(item, gateway.Equal, c.entry.create)
	} else {
		then = append(then, gateway.OpGet(item))
	}
	weight := claimWeight
	if c.known {
		weight = knownWeight
	}
	return core.Write{
		If:           []gateway.Cmp{there},
		Absent:       []string{key},
		Weight:       weight,
		Then:         then,
		Else:         []gateway.Op{gateway.OpGet(key)},
		Compensation: q.unclaim(c),
		Lean:         q.unclaimLean(c),
	}
}

// unclaim takes a claim back, and the attempt with it.
func (q *Queue) unclaim(c *claim) func() []gateway.Op {
	return q.unclaimAnd(c, gateway.OpPut(q.keys.returns+c.entry.place, nil))
}

// unclaimLean is unclaim for a full database: a second attempt, or a later one, counts although
// nobody got the item.
func (q *Queue) unclaimLean(c *claim) func() []gateway.Op { return q.unclaimAnd(c) }

func (q *Queue) unclaimAnd(c *claim, again ...gateway.Op) func() []gateway.Op {
	return func() []gateway.Op {
		key, count := q.keys.claims+c.entry.place, q.keys.counts+c.entry.place
		return []gateway.Op{gateway.OpTxn(gateway.Txn{
			If: []gateway.Cmp{gateway.CmpValue(key, gateway.Equal, []byte(c.tag))},
			Then: []gateway.Op{gateway.OpDelete(key), gateway.OpTxn(gateway.Txn{
				If:   []gateway.Cmp{gateway.CmpVersion(count, gateway.Equal, 1)},
				Then: []gateway.Op{gateway.OpDelete(count)},
				Else: again,
			})},
		})}
	}
}

func (c *claim) read(resp core.Outcome) {
	if resp.Applied {
		c.fence, c.claims = resp.Revision, 1
		if prev := resp.Responses[1].Put.PrevKV; prev != nil {
			c.claims += int(prev.Version)
		}
		c.attempts = c.claims
		if !c.known {
			c.item = resp.Responses[2].Get.KVs[0].Value
		}
		return
	}
	switch claims := resp.Responses[0].Get.KVs; {
	case len(claims) == 0: // so it was the item's compare that failed
		c.gone = !c.known // else it may have been written again
	case string(claims[0].Value) != c.tag:
		c.other = claims[0].CreateRevision
	default: // by a try whose answer was lost
		c.fence = claims[0].CreateRevision
	}
}

// fetch reads what a claim did not tell: all, if it was found to be ours only by its repetition,
// and what was taken back, which can be only if there were two claims before.
func (q *Queue) fetch(ctx context.Context, c *claim) error {
	if c.item != nil && c.claims > 0 && c.claims < 3 {
		return nil
	}
	ctx, cancel := q.s.Bound(ctx)
	defer cancel()
	resp, err := q.s.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(q.keys.items + c.entry.place),
		gateway.OpGet(q.keys.counts+c.entry.place, gateway.KeysOnly()),
		gateway.OpGet(q.keys.returns+c.entry.place, gateway.KeysOnly()),
	}})
	if err != nil {
		return err
	}
	items, counts, returns := resp.Responses[0].Get.KVs, resp.Responses[1].Get.KVs, resp.Responses[2].Get.KVs
	if len(items) == 0 || len(counts) == 0 {
		return errNoItem
	}
	c.item, c.claims = items[0].Value, int(counts[0].Version)
	if c.attempts = c.claims; len(returns) > 0 {
		c.attempts = max(1, c.attempts-int(returns[0].Version))
	}
	return nil
}

// claimFunc begins to claim items that the feed hands out. Finish, or giveBack, must follow.
func (q *Queue) claimFunc(ctx context.Context, f *itemCache) claimFunc {
	return func(e *entry) *claim {
		c := &claim{feed: f, entry: e, tag: q.newID(), item: e.value, known: e.value != nil}
		e.value = nil // it becomes the caller's
		c.pending = q.s.Submit(ctx, q.claimWrite(c))
		return c
	}
}

// finish makes a message of a claim. Without one, and without an error, another was faster, or the
// item has gone to the dead letters.
func (q *Queue) finish(ctx context.Context, c *claim) (*Message, error) {
	defer q.finishedAhead(c)
	out, err := c.pending.Wait(ctx)
	if err != nil {
		q.yieldAhead(c.entry.place, func() { c.feed.giveBack(c.entry) })
		return nil, err
	}
	if c.read(out); c.fence == 0 {
		c.feed.lost(c.entry, c.gone, c.other)
		return nil, nil
	}
	c.feed.claimed(c.entry, c.fence)
	if err = q.fetch(ctx, c); err == nil {
		err = q.s.Ready(ctx)
	}
	if err != nil {
		q.yieldAhead(c.entry.place, func() {
			q.s.Compensate(core.Write{Compensation: q.unclaim(c), Lean: q.unclaimLean(c)})
		})
		return nil, err
	}
	return q.deliver(ctx, c)
}

func (q *Queue) deliver(ctx context.Context, c *claim) (*Message, error) {
	m := &Message{q: q, place: c.entry.place, claims: c.claims}
	m.hold, m.grip = q.s.Hold(q.keys.claims+m.place, c.fence, func() {})
	rec, err := decode(c.item)
	if err != nil {
		m.ID, m.Value, m.Attempt = q.newID(), c.item, c.attempts
		return nil, m.drop(ctx, "not an item of this library")
	}
	m.ID, m.Value, m.Attempt, m.Enqueued = rec.ID, rec.value, rec.Attempts+c.attempts, toTime(rec.Enqueued)
	m.Priority, _ = priorityOf(m.place)
	if limit := q.opt.MaxAttempts; limit > 0 && m.Attempt > limit {
		m.Attempt-- // this one is not delivered
		return nil, m.drop(ctx, fmt.Sprintf("given up after %d attempts", m.Attempt))
	}
	return m, nil
}
