package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// end is the end of the queue as this Queue knows it.
type end struct {
	turn   chan struct{} // held by whoever moves it
	known  bool
	next   int64 // number
	mod    int64 // of the tail's key
	length int64 // at that revision, and not more until the tail moves; only with MaxLength
}

// move is what one transaction puts at the end of the queue, or among the delayed.
type move struct {
	records []*record
	dedups  []string // of each record, or nil
	lease   gateway.LeaseID
	room    bool          // keep to MaxLength
	guard   []gateway.Cmp // holds unless somebody else was faster
	from    []gateway.Op  // where the records come from is deleted
}

var errFull = errors.New("full")

// append gives numbers to records and puts them at the end, in one transaction that compares that nobody else has moved
// the end. It is false if the guard did not hold.
func (q *Queue) append(ctx context.Context, m *move) (bool, error) {
	select {
	case q.end.turn <- struct{}{}:
		defer func() { <-q.end.turn }()
	case <-ctx.Done():
		return false, ctxerr.Of(ctx)
	}
	for races := 0; ; races++ {
		if err := q.readEnd(ctx); err != nil {
			return false, err
		}
		if m.room && q.opt.MaxLength > 0 && q.end.length+int64(len(m.records)) > int64(q.opt.MaxLength) {
			q.end.known = false // it may have become shorter
			return false, errFull
		}
		resp, err := q.s.Txn(ctx, q.appendTxn(m))
		switch {
		case err != nil:
			q.end.known = false
			return false, err
		case resp.Succeeded:
			q.moved(m, resp)
			return true, q.resolve(ctx, m, resp)
		case resp.Responses == nil:
			q.end.known = false
			continue
		}
		before := q.end.mod
		if err := q.seeEnd(resp.Responses); err != nil {
			return false, err
		}
		if q.end.mod == before {
			return false, nil
		}
		if races >= 2 {
			pause(ctx, rand.N(time.Millisecond<<min(races, 6)))
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// appendTxn: the first answers of either branch are those of look.
func (q *Queue) appendTxn(m *move) gateway.Txn {
	next := q.end.next
	ops := []gateway.Op{}
	for i, r := range m.records {
		key := q.keys.dueKey(r.due, r.ID)
		if r.due == 0 {
			key = q.keys.items + place(r.Priority, next)
			next++
		}
		put := gateway.OpPut(key, r.encode())
		if m.dedups != nil && m.dedups[i] != "" {
			put = gateway.OpTxn(q.once(m.dedups[i], r.ID, m.lease, put))
		}
		ops = append(ops, put)
	}
	ops = append(ops, m.from...)
	ops = append(ops, gateway.OpPut(q.keys.tail, strconv.AppendInt(nil, next, 10)))
	ops = append(ops, q.countItems()...)
	return gateway.Txn{
		If:   append([]gateway.Cmp{gateway.ModRevision(q.keys.tail, gateway.Equal, q.end.mod)}, m.guard...),
		Then: ops,
		Else: q.look(),
	}
}

// countItems counts what MaxLength bounds, if it does.
func (q *Queue) countItems() []gateway.Op {
	if q.opt.MaxLength == 0 {
		return nil
	}
	return []gateway.Op{
		gateway.OpGet(q.keys.items, gateway.Prefix(), gateway.CountOnly()),
		gateway.OpGet(q.keys.delayed, gateway.Prefix(), gateway.CountOnly()),
	}
}

func counted(answers []gateway.OpResponse) (n int64) {
	for _, a := range answers {
		n += a.Get.Count
	}
	return n
}

// look reads the end.
func (q *Queue) look() []gateway.Op {
	return append([]gateway.Op{gateway.OpGet(q.keys.tail)}, q.countItems()...)
}

func (q *Queue) readEnd(ctx context.Context) error {
	if q.end.known {
		return nil
	}
	resp, err := q.s.Client().Txn(ctx, gateway.Txn{Then: q.look()})
	if err != nil {
		return err
	}
	return q.seeEnd(resp.Responses)
}

func (q *Queue) seeEnd(look []gateway.OpResponse) (err error) {
	q.end.next, q.end.mod, err = parseTail(look[0].Get)
	q.end.known = err == nil
	q.end.length = counted(look[1 : 1+len(q.countItems())])
	return err
}

// parseTail gives the number of the next item and the revision of the tail's key.
func parseTail(got *gateway.GetResponse) (next, mod int64, _ error) {
	if len(got.KVs) == 0 {
		return 1, 0, nil
	}
	kv := got.KVs[0]
	next, err := strconv.ParseInt(string(kv.Value), 10, 64)
	if err != nil || next < 1 {
		return 0, 0, fmt.Errorf("the key %s holds no number", kv.Key)
	}
	return next, kv.ModRevision, nil
}

func (q *Queue) moved(m *move, resp *gateway.TxnResponse) {
	for _, r := range m.records {
		if r.due == 0 {
			q.end.next++
		}
	}
	q.end.mod = resp.Revision
	if n := len(q.countItems()); n > 0 {
		if q.end.known = resp.Responses != nil; q.end.known {
			q.end.length = counted(resp.Responses[len(resp.Responses)-n:])
		}
	}
}
