package queue

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// moveDue moves the delayed items that are due, by this process's clock, to the end of the queue:
// as many as one transaction takes. One consumer of a client does so at a time. If another process
// was faster, the consumers of this client stand back for a while.
func (q *Queue) moveDue(ctx context.Context, ic *itemCache) error {
	defer ic.pass()
	select {
	case ic.mover <- struct{}{}:
		defer func() { <-ic.mover }()
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
	return q.moveBatch(ctx, ic)
}

// moveDueLater is moveDue in the background, after a delivery.
func (q *Queue) moveDueLater(ic *itemCache) {
	q.inMover(ic, func(ctx context.Context) {
		_ = q.moveBatch(ctx, ic) // the Receive that finds nothing else returns the error
	})
}

// inMover runs a function that holds ic.mover in the background, unless another one does.
func (q *Queue) inMover(ic *itemCache, run func(ctx context.Context)) {
	select {
	case ic.mover <- struct{}{}:
	default:
		return
	}
	started := q.s.Background(func(ctx context.Context) {
		defer func() { <-ic.mover }()
		run(ctx)
	})
	if !started {
		<-ic.mover
	}
}

// moveBatch is for the goroutine that holds ic.mover.
func (q *Queue) moveBatch(ctx context.Context, ic *itemCache) error {
	due, from := ic.lookDue()
	now := time.Now().UnixMilli()
	if due == 0 || due > now {
		return nil
	}
	kvs, err := q.readDue(ctx, from, now+1, gateway.Limit(max(ic.dueLimit, firstDue)))
	if err != nil {
		return err
	}
	if len(kvs) == 0 {
		return q.findDue(ctx, ic, now+1)
	}
	var m batch
	size := 0
	for _, kv := range kvs {
		size += len(kv.Value)
		if size > maxBatchBytes && len(m.records) > 0 {
			break
		}
		r, err := decode(kv.Value)
		if err != nil {
			r = record{ID: q.newID(), Enqueued: now, value: kv.Value}
		}
		m.records = append(m.records, &r)
		there := gateway.CmpCreateRevision(kv.Key, gateway.Equal, kv.CreateRevision)
		m.guard = append(m.guard, there)
		m.from = append(m.from, gateway.OpDelete(kv.Key))
	}
	ic.dueLimit = int64(min(2*len(m.records), maxMoved))
	moved, err := q.appendBatch(ctx, &m)
	if err == nil && !moved {
		ic.standBack(time.Now().Add(leaveFor/2 + rand.N(leaveFor)))
	}
	return err
}

// findDue looks for the next delayed item that is due, from a time before which none is. It looks
// ahead a little at first, because etcd passes all keys of a range, also with a limit.
func (q *Queue) findDue(ctx context.Context, ic *itemCache, from int64) error {
	begin := from
	for ahead := leastAhead; ; ahead *= aheadFactor {
		end := begin + ahead
		if ahead > mostAhead {
			end = maxDue
		}
		kvs, err := q.readDue(ctx, begin, end, gateway.Limit(duePage), gateway.KeysOnly())
		switch {
		case err != nil:
			return err
		case len(kvs) > 0:
			next, _ := q.keys.dueOf(kvs[0].Key)
			ic.setDue(next, from)
			return nil
		case end == maxDue:
			ic.setDue(0, from)
			return nil
		}
		begin = end
	}
}

// findDueLater is findDue in the background, for a consumer that waits after a first read which
// found none.
func (q *Queue) findDueLater(ic *itemCache) {
	q.inMover(ic, func(ctx context.Context) {
		if from := ic.lookFrom(); from != 0 {
			_ = q.findDue(ctx, ic, from) // else it is time to look at the end of the first read
		}
	})
}

// maxDue is behind all times that the key of a delayed item can have.
const maxDue = 1e15 - 1

// readDue reads delayed items that are due from one time to another. It skips keys that this
// library does not write.
func (q *Queue) readDue(
	ctx context.Context, from, to int64, opts ...gateway.Option,
) ([]gateway.KeyValue, error) {
	end := q.keys.dueKey(to, "")
	for key := q.keys.dueKey(from, ""); ; {
		got, err := q.s.Client().Get(ctx, key, append(opts, gateway.Range(end))...)
		if err != nil {
			return nil, err
		}
		if n := len(got.KVs); n > 0 {
			key = got.KVs[n-1].Key + "\x00"
		}
		kvs := q.keys.onlyDue(got.KVs)
		if len(kvs) > 0 || !got.More || len(got.KVs) == 0 {
			return kvs, nil
		}
	}
}

// onlyDue returns the keys that tell a time.
func (k *keys) onlyDue(kvs []gateway.KeyValue) (due []gateway.KeyValue) {
	for _, kv := range kvs {
		if _, ok := k.dueOf(kv.Key); ok {
			due = append(due, kv)
		}
	}
	return due
}

// lookDue returns when the next delayed item is due, and a time before which none is, to a caller
// that is about to read them.
func (ic *itemCache) lookDue() (due, from int64) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.newDue, ic.lookedIn = 0, ic.watch
	return ic.due, ic.dueFrom
}

// isDue reports whether a delayed item is due.
func (ic *itemCache) isDue() bool {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	return ic.due != 0 && ic.due <= time.Now().UnixMilli()
}

// lookFrom returns the end of a first read that found no delayed item, if nothing was read since.
func (ic *itemCache) lookFrom() int64 {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.due == 0 || ic.due != ic.lookedTo {
		return 0
	}
	ic.newDue, ic.lookedIn = 0, ic.watch
	return ic.lookedTo
}

// setDue takes what was read since lookDue or lookFrom: the next delayed item is due then, and none
// is before from. It changes nothing if the watch has been replaced since, because its events would
// be missing; the read of the new one knows more.
func (ic *itemCache) setDue(due, from int64) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.watch != ic.lookedIn {
		return
	}
	ic.lookedTo = 0
	ic.due = earlier(ic.newDue, due)
	ic.dueFrom = earlier(ic.newDue, from)
	ic.wakeAll()
}

// standBack makes the consumers that wait leave the moving of due items to another process.
func (ic *itemCache) standBack(until time.Time) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.stood = until.UnixMilli()
}

// earlier of two times, of which 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
