package queue

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// maxDue is how many delayed items are read, with their values, at once. As many of them are moved
// as fit into a request.
const maxDue = 16

// moveDue moves the delayed items that are due, by this process's clock, to the end of the queue.
// One consumer of a feed does it for all; those of other processes may try the same, and one of
// them succeeds.
func (q *Queue) moveDue(ctx context.Context, f *itemCache) error {
	defer f.pass()
	if err := f.lock(ctx); err != nil {
		return err
	}
	defer f.unlock()
	for {
		was, now := f.lookDue(), time.Now().UnixMilli()
		if was == 0 || was > now {
			return nil
		}
		behind := q.keys.dueKey(now+1, "")
		resp, err := q.s.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
			gateway.OpGet(q.keys.delayed, gateway.Range(behind), gateway.Limit(maxDue)),
			gateway.OpGet(behind, gateway.Range(until(q.keys.delayed)), gateway.Limit(1), gateway.KeysOnly()),
		}})
		if err != nil {
			return err
		}
		var m batch
		size := 0
		for _, kv := range resp.Responses[0].Get.KVs {
			if size += len(kv.Value); size > maxBatchBytes && len(m.records) > 0 {
				break
			}
			r, err := decode(kv.Value)
			if err != nil {
				r = record{ID: q.newID(), Enqueued: now, value: kv.Value}
			}
			m.records = append(m.records, &r)
			m.guard = append(m.guard, gateway.CmpCreateRevision(kv.Key, gateway.Equal, kv.CreateRevision))
			m.from = append(m.from, gateway.OpDelete(kv.Key))
		}
		if len(m.records) == 0 {
			next := int64(0)
			if kvs := resp.Responses[1].Get.KVs; len(kvs) > 0 {
				next, _ = q.keys.dueOf(kvs[0].Key)
			}
			f.setDue(next)
			return nil
		}
		if _, err := q.append(ctx, &m); err != nil {
			return err
		}
	}
}

// lookDue tells when the next delayed item is due, to somebody who is about to read them.
func (f *itemCache) lookDue() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newDue = 0
	return f.due
}

// setDue takes what was read since lookDue.
func (f *itemCache) setDue(due int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = earlier(f.newDue, due)
	f.wakeAll()
}

// earlier of two times, of which 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
