package queue

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
)

// tail is the end of the queue as this Queue knows it.
type tail struct {
	turn   chan struct{} // held by whoever moves it
	line   int64         // how many stood in the line when it was looked at last
	known  bool
	next   int64 // number
	mod    int64 // of the tail's key
	length int64 // at that revision, and not more until the tail moves; only with MaxLength
}

// batch is what one transaction puts at the end of the queue, or among the delayed.
type batch struct {
	records []*record
	dedups  []string // of each record, or nil
	lease   gateway.LeaseID
	room    bool          // keep to MaxLength
	guard   []gateway.Cmp // holds unless somebody else was faster
	from    []gateway.Op  // where the records come from is deleted
}

// While anybody stands in the line, only the first may move the end: else whoever has just moved
// it, and so knows where it is, would go on winning. A turn takes longer than a race, so few
// producers race, and many stand in the line.
const (
	maxRaces = 8 // are lost before the loser stands in the line, and pauses after each further one,
	crowd    = 2 // or it does at once where so many stand there

	// maxTurns is how long it stands there. Then the first has been paused, perhaps, or killed, and
	// would hold up everybody until its lease ends. The line is for fairness only: what keeps the
	// order is the compare of the tail.
	maxTurns = 2 * time.Second
)

// append gives numbers to records and puts them at the end, in one transaction that compares that
// nobody else has moved the end. It is false if the guard did not hold.
func (q *Queue) append(ctx context.Context, m *batch) (bool, error) {
	select {
	case q.end.turn <- struct{}{}:
		defer func() { <-q.end.turn }()
	case <-ctx.Done():
		return false, ctxerr.Of(ctx)
	}
	var first *line.Hold
	stuck := false // the line
	defer func() {
		if first != nil {
			first.Abandon(ctx)
		}
	}()
	pause := line.Again{}
	for races := 0; ; races++ {
		if races > maxRaces {
			if err := pause.Wait(ctx); err != nil {
				return false, err
			}
		}
		if err := q.readEnd(ctx); err != nil {
			return false, err
		}
		if first == nil && !stuck && (races >= maxRaces || q.end.line >= crowd) {
			var err error
			if first, err = q.takeTurn(ctx); err != nil {
				return false, err
			}
			if stuck, q.end.known = first == nil, false; stuck {
				q.clearLine(ctx)
			}
			continue
		}
		if m.room && q.opt.MaxLength > 0 && q.end.length+int64(len(m.records)) > int64(q.opt.MaxLength) {
			q.end.known = false // it may have become shorter
			dropped, err := q.dropFound(ctx, m)
			switch {
			case err != nil:
				return false, err
			case !dropped:
				return false, ErrFull
			case len(m.records) == 0:
				return true, nil
			}
			continue
		}
		resp, err := q.s.TxnFlat(ctx, q.appendTxn(m, first, stuck))
		switch {
		case err != nil:
			q.end.known = false
			return false, err
		case resp.Succeeded:
			if q.moved(m, resp, first != nil); first != nil {
				first.Grip.MarkDeleted()
				first = nil
			}
			return true, nil
		case resp.Responses == nil:
			q.end.known = false
			continue
		}
		before := q.end.mod
		look := len(q.look())
		if err := q.seeEnd(resp.Responses[:look]); err != nil {
			return false, err
		}
		dropped, err := m.drop(resp.Responses[look:])
		switch {
		case err != nil:
			return false, err
		case dropped && len(m.records) == 0:
			return true, nil
		case dropped:
			continue
		}
		if q.end.mod == before && (first != nil || stuck || q.end.line == 0) {
			return false, nil
		}
	}
}

// takeTurn waits to be the first in the line. Without a hold, and without an error, the line does
// not move.
func (q *Queue) takeTurn(ctx context.Context) (*line.Hold, error) {
	turn, cancel := context.WithTimeout(ctx, maxTurns)
	defer cancel()
	h, err := q.line.Enter(turn, line.Join{Exclusive: true})
	switch {
	case err == nil:
		return &h, nil
	case turn.Err() != nil && ctx.Err() == nil:
		return nil, nil
	}
	return nil, err
}

// appendTxn is for the first in the line, who leaves it by it, for somebody who knows of no line,
// or of one that is stuck.
func (q *Queue) appendTxn(m *batch, first *line.Hold, stuck bool) gateway.Txn {
	next := q.end.next
	ops, absent := []gateway.Op{}, []gateway.Cmp{}
	for i, r := range m.records {
		var key string
		if r.due != 0 {
			key = q.keys.dueKey(r.due, r.ID)
		} else {
			key = q.keys.items + place(r.Priority, next)
			next++
		}
		ops = append(ops, gateway.OpPut(key, r.stored()))
		if m.dedups != nil && m.dedups[i] != "" {
			dedup := q.keys.dedups + m.dedups[i]
			ops = append(ops, gateway.OpPut(dedup, []byte(r.ID), gateway.WithLease(m.lease)))
			absent = append(absent, gateway.CmpCreateRevision(dedup, gateway.Equal, 0))
		}
	}
	ops = append(ops, m.from...)
	ops = append(ops, gateway.OpPut(q.keys.tail, strconv.AppendInt(nil, next, 10)))
	still := []gateway.Cmp{gateway.CmpModRevision(q.keys.tail, gateway.Equal, q.end.mod)}
	switch {
	case first != nil:
		ops = append(ops, gateway.OpDelete(first.Key()), q.countLine())
	case !stuck:
		still = append(still, gateway.CmpCreateRevision(q.keys.line+"/", gateway.Equal, 0).Prefix())
	}
	return gateway.Txn{
		If:   slices.Concat(still, m.guard, absent),
		Then: append(ops, q.countBounded()...),
		Else: append(q.look(), q.readDedups(m)...),
	}
}

// count counts those in the line, and what MaxLength bounds if it does.
func (q *Queue) count() []gateway.Op { return append([]gateway.Op{q.countLine()}, q.countBounded()...) }

func (q *Queue) countLine() gateway.Op {
	return gateway.OpGet(q.keys.line+"/", gateway.Prefix(), gateway.CountOnly())
}

// countBounded counts what MaxLength bounds, if it does.
func (q *Queue) countBounded() []gateway.Op {
	if q.opt.MaxLength == 0 {
		return nil
	}
	return q.countItems()
}

func (q *Queue) countItems() []gateway.Op {
	return []gateway.Op{
		gateway.OpGet(q.keys.items, gateway.Prefix(), gateway.CountOnly()),
		gateway.OpGet(q.keys.delayed, gateway.Prefix(), gateway.CountOnly()),
	}
}

func total(answers []gateway.OpResponse) (n int64) {
	for _, a := range answers {
		n += a.Get.Count
	}
	return n
}

// look reads the end.
func (q *Queue) look() []gateway.Op {
	return append([]gateway.Op{gateway.OpGet(q.keys.tail)}, q.count()...)
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
	q.end.line, q.end.length = look[1].Get.Count, total(look[2:])
	return err
}

// maxTail is the greatest number in the tail's key. The items of one more transaction still have
// numbers of 16 digits.
const maxTail = 1e16 - 1 - maxBatch

// parseTail gives the number of the next item and the revision of the tail's key.
func parseTail(got *gateway.GetResponse) (next, mod int64, _ error) {
	if len(got.KVs) == 0 {
		return 1, 0, nil
	}
	kv := got.KVs[0]
	next, err := strconv.ParseInt(string(kv.Value), 10, 64)
	if err != nil || next < 1 || next > maxTail {
		return 0, 0, line.CorruptKey(kv)
	}
	return next, kv.ModRevision, nil
}

// moved takes the answer to appendTxn.
func (q *Queue) moved(m *batch, resp *gateway.TxnResponse, turn bool) {
	for _, r := range m.records {
		if r.due == 0 {
			q.end.next++
		}
	}
	q.end.mod = resp.Revision
	if q.end.known = resp.Responses != nil && q.end.next <= maxTail; !q.end.known {
		return
	}
	counts := len(q.countBounded())
	rest := resp.Responses[:len(resp.Responses)-counts]
	q.end.length = total(resp.Responses[len(rest):])
	if q.end.line = 0; turn {
		q.end.line = rest[len(rest)-1].Get.Count
	}
}
