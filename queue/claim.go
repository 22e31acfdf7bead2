package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// claim is a try to claim an item, and what came of it.
type claim struct {
	entry *entry
	tag   string // of this try alone

	fence    int64 // 0 if it is not ours
	attempts int
	item     []byte
	gone     bool  // there is no such item any more
	other    int64 // the revision of another's claim
}

// maxClaims is how many items one transaction claims: their values come with the answer.
const maxClaims = 16

func pickClaims(waiting []*job[*claim]) int { return min(len(waiting), maxClaims) }

// txn puts the claim and counts the attempt, if the item is there and unclaimed. A second copy finds the first.
func (q *Queue) claimTxn(c *claim) gateway.Txn {
	item, key, count := q.keys.items+c.entry.place, q.keys.claims+c.entry.place, q.keys.counts+c.entry.place
	return gateway.Txn{
		If: []gateway.Cmp{gateway.CreateRevision(item, gateway.Equal, c.entry.create), gateway.CreateRevision(key, gateway.Equal, 0)},
		Then: []gateway.Op{
			gateway.OpPut(key, []byte(c.tag), gateway.WithLease(q.s.Lease())),
			gateway.OpPut(count, nil, gateway.PrevKV()),
			gateway.OpGet(item),
		},
		Else: []gateway.Op{gateway.OpGet(key), gateway.OpGet(count, gateway.KeysOnly()), gateway.OpGet(item, gateway.KeysOnly())},
	}
}

func (q *Queue) unclaim(c *claim) gateway.Op {
	key := q.keys.claims + c.entry.place
	return gateway.OpTxn(gateway.Txn{
		If:   []gateway.Cmp{gateway.Value(key, gateway.Equal, []byte(c.tag))},
		Then: []gateway.Op{gateway.OpDelete(key)},
	})
}

// sendClaims claims what several consumers want.
func (q *Queue) sendClaims(ctx context.Context, jobs []*job[*claim]) {
	err := q.claimAll(ctx, jobs)
	alone := err != nil && len(jobs) > 1 && ctx.Err() == nil && !errors.Is(err, gateway.ErrUncertain)
	for i, j := range jobs {
		switch {
		case alone:
			if j.err = q.claimAll(ctx, jobs[i:i+1]); j.err == nil {
				j.err = q.fetch(ctx, j.v)
			}
		case err != nil:
			j.err = err
		default:
			j.err = q.fetch(ctx, j.v)
		}
	}
}

func (q *Queue) claimAll(ctx context.Context, jobs []*job[*claim]) error {
	var w session.Write
	for _, j := range jobs {
		w.Then = append(w.Then, gateway.OpTxn(q.claimTxn(j.v)))
		w.Undo = append(w.Undo, q.unclaim(j.v))
	}
	out, err := q.s.Write(ctx, w)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		j.v.read(out.Revision, out.Responses[i].Txn)
	}
	return nil
}

func (c *claim) read(revision int64, resp *gateway.TxnResponse) {
	if resp.Succeeded {
		c.fence, c.attempts = revision, 1
		if prev := resp.Responses[1].Put.PrevKV; prev != nil {
			c.attempts += int(prev.Version)
		}
		c.item = resp.Responses[2].Get.KVs[0].Value
		return
	}
	claims, counts, items := resp.Responses[0].Get.KVs, resp.Responses[1].Get.KVs, resp.Responses[2].Get.KVs
	switch {
	case len(claims) == 0:
		c.gone = len(items) == 0 || items[0].CreateRevision != c.entry.create
	case string(claims[0].Value) != c.tag:
		c.gone, c.other = len(items) == 0, claims[0].CreateRevision
	default: // by a try whose answer was lost
		c.fence = claims[0].CreateRevision
		if len(counts) > 0 {
			c.attempts = int(counts[0].Version)
		}
	}
}

// fetch reads the item that a claim found to be ours only by its repetition.
func (q *Queue) fetch(ctx context.Context, c *claim) error {
	if c.fence == 0 || c.item != nil {
		return nil
	}
	resp, err := q.s.Client().Get(ctx, q.keys.items+c.entry.place)
	if err == nil && len(resp.KVs) == 0 {
		err = errNoItem
	}
	if err != nil {
		q.abandon(c)
		return err
	}
	c.item = resp.KVs[0].Value
	return nil
}

// abandon takes back, in the background, a claim that nobody waits for any more.
func (q *Queue) abandon(c *claim) {
	if c.fence != 0 {
		q.s.Settle(session.Write{Undo: []gateway.Op{q.unclaim(c)}})
	}
}

// claim makes an item that the feed has handed out a message. Without one, and without an error, another was faster, or
// the item has gone to the dead letters.
func (q *Queue) claim(ctx context.Context, f *feed, e *entry) (*Message, error) {
	c := &claim{entry: e, tag: q.newID()}
	if err := q.claims.do(ctx, c); err != nil {
		f.giveBack(e)
		return nil, err
	}
	if c.fence == 0 {
		f.lost(e, c.gone, c.other)
		return nil, nil
	}
	f.claimed(e, c.fence)
	m := &Message{q: q, place: e.place}
	m.Holding, m.grip = q.s.Hold(q.keys.claims+e.place, c.fence, func() {})
	rec, err := decode(c.item)
	if err != nil {
		m.ID, m.Value, m.Attempt = q.newID(), c.item, c.attempts
		return nil, m.drop(ctx, "not an item of this library")
	}
	m.ID, m.Value, m.Attempt, m.Enqueued = rec.ID, rec.value, rec.Attempts+c.attempts, toTime(rec.Enqueued)
	m.Priority, _ = priorityOf(e.place)
	if limit := q.opt.MaxAttempts; limit > 0 && m.Attempt > limit {
		m.Attempt-- // this one is not delivered
		return nil, m.drop(ctx, fmt.Sprintf("given up after %d attempts", m.Attempt))
	}
	if err := q.s.Ready(ctx); err != nil {
		m.later(ctx)
		return nil, err
	}
	return m, nil
}
