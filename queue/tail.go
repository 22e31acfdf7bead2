package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
)

// tail is the end of the queue as this Queue knows it.
type tail struct {
	turn  chan struct{} // held by the goroutine that moves the tail
	known bool
	next  int64 // the number of the next item
	mod   int64 // mod_revision of the tail's key
	// bound is at least the number of items that MaxLength limits, until the tail moves. Only an
	// append adds such an item, and every append moves the tail and adds to the bound, so one count
	// is enough for as many appends as there is room for. It is uncounted if nobody has counted.
	bound    int64
	pressure int // of other producers; see backOff
}

const uncounted = -1

// batch is the items that one transaction puts at the end of the queue, or among the delayed.
type batch struct {
	records []*record
	dedups  []string // of each record, or nil
	lease   gateway.LeaseID
	adds    bool          // the items are new: they count, and need room
	exact   bool          // ErrFull must be true at the time of the call
	guard   []gateway.Cmp // holds unless another client was faster
	from    []gateway.Op  // deletes the keys that the records come from
}

// append numbers records and puts them at the end, in a transaction that compares the tail. It
// marks the records that were put, and those that are duplicates, as done. It returns false if the
// guard did not hold, and ErrFull if there is no room for the rest.
//
// A producer that loses the compare finds the new tail in the answer, and tries again at once. No
// key keeps a place for a producer, so one that stops or dies does not delay the others.
func (q *Queue) append(ctx context.Context, m *batch) (bool, error) {
	select {
	case q.end.turn <- struct{}{}:
		defer func() { <-q.end.turn }()
	case <-ctx.Done():
		return false, ctxerr.Of(ctx)
	}
	if err := q.backOff(ctx); err != nil {
		return false, err
	}
	length, waits := q.room.lengthSince(0)
	if waits = waits && m.adds && !m.exact; waits && length >= int64(q.opt.MaxLength) {
		if !slices.ContainsFunc(m.dedups, func(id string) bool { return id != "" }) {
			return false, ErrFull // another producer has taken the room
		}
	}
	pressure := q.end.pressure
	for fresh := false; len(m.records) > 0; fresh = true {
		fresh = fresh || !q.end.known
		if err := q.readTail(ctx); err != nil {
			return false, err
		}
		n, err := q.fit(ctx, m)
		if err != nil || n == 0 {
			if errors.Is(err, ErrFull) && waits && length < int64(q.opt.MaxLength) {
				q.end.pressure = min(q.end.pressure+1, maxPressure)
			}
			return err == nil, err
		}
		resp, err := q.s.TxnFlat(ctx, q.appendTxn(m, n))
		switch {
		case err != nil:
			q.end.known = false
			return false, err
		case resp.Succeeded:
			q.moved(m, n, resp)
			if q.end.pressure == pressure {
				q.end.pressure = max(pressure-1, 0)
			}
			if len(m.records) > 0 {
				return false, ErrFull
			}
			return true, nil
		case resp.Responses == nil:
			q.end.known = false
			continue
		}
		before := q.end.mod
		if err := q.seeTail(resp.Responses[0].Get); err != nil {
			return false, err
		}
		dropped, err := m.drop(resp.Responses[1:])
		switch {
		case err != nil:
			return false, err
		case dropped:
		case q.end.mod == before:
			return false, nil
		case fresh: // else the tail was only known from earlier
			q.end.pressure = min(q.end.pressure+1, maxPressure)
			if err := q.backOff(ctx); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// A pause is at most leastPause, doubled for each unit of pressure. At the most pressure, 400
// sessions that enqueue all the time send about as many requests as one etcd member answers.
const (
	leastPause  = time.Millisecond
	maxPressure = 8
)

// backOff pauses if other producers move the tail, for a random time that grows with the pressure.
// A loss that follows another raises the pressure, and a success without a loss lowers it. The
// known tail is out of date after the pause, and a read costs the server less than a compare that
// fails.
func (q *Queue) backOff(ctx context.Context) error {
	if q.end.pressure == 0 {
		return nil
	}
	q.end.known = false
	return sleep(ctx, rand.N(leastPause<<q.end.pressure))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// fit returns how many of the records have room.
func (q *Queue) fit(ctx context.Context, m *batch) (int, error) {
	limit := int64(q.opt.MaxLength)
	enough := func() bool {
		return q.end.bound != uncounted && q.end.bound+int64(len(m.records)) <= limit
	}
	if !m.adds || limit == 0 || enough() {
		return len(m.records), nil
	}
	if err := q.dropFound(ctx, m); err != nil || len(m.records) == 0 || enough() {
		return len(m.records), err
	}
	if err := q.count(ctx, m.exact); err != nil {
		return 0, err
	}
	if q.end.bound >= limit {
		return 0, ErrFull
	}
	return int(min(int64(len(m.records)), limit-q.end.bound)), nil
}

// appendTxn puts the first n records.
func (q *Queue) appendTxn(m *batch, n int) gateway.Txn {
	next, bound := q.end.next, q.end.bound
	ops, absent := []gateway.Op{}, []gateway.Cmp{}
	for i, r := range m.records[:n] {
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
	if m.adds && bound != uncounted {
		bound += int64(n)
	}
	still := gateway.CmpModRevision(q.keys.tail, gateway.Equal, q.end.mod)
	put := gateway.OpPut(q.keys.tail, encodeTail(next, bound))
	return gateway.Txn{
		If:   slices.Concat([]gateway.Cmp{still}, m.guard, absent),
		Then: append(append(ops, m.from...), put),
		Else: append([]gateway.Op{gateway.OpGet(q.keys.tail)}, q.readDedups(m)...),
	}
}

// moved takes the answer to appendTxn.
func (q *Queue) moved(m *batch, n int, resp *gateway.TxnResponse) {
	for _, r := range m.records[:n] {
		r.done = true
		if r.due == 0 {
			q.end.next++
		}
	}
	m.records = m.records[n:]
	if m.dedups != nil {
		m.dedups = m.dedups[n:]
	}
	if m.adds && q.end.bound != uncounted {
		q.end.bound += int64(n)
	}
	q.end.mod = resp.Revision
	q.end.known = q.end.next <= maxTail
}

func (q *Queue) readTail(ctx context.Context) error {
	if q.end.known {
		return nil
	}
	got, err := q.s.Client().Get(ctx, q.keys.tail)
	if err != nil {
		return err
	}
	return q.seeTail(got)
}

func (q *Queue) seeTail(got *gateway.GetResponse) (err error) {
	q.end.next, q.end.bound, q.end.mod, err = parseTail(got)
	q.end.known = err == nil
	return err
}

// count sets the bound to the number of items. Unless it has to be exact, the watch may be late.
func (q *Queue) count(ctx context.Context, exact bool) error {
	if n, ok := q.room.lengthSince(q.end.mod); ok && !exact {
		q.end.bound = n
		return nil
	}
	resp, err := q.s.Client().Txn(ctx, gateway.Txn{
		Then: append(q.countItems(), gateway.OpGet(q.keys.tail)),
	})
	if err != nil {
		return err
	}
	last := len(resp.Responses) - 1
	if err := q.seeTail(resp.Responses[last].Get); err != nil {
		return err
	}
	q.end.bound = total(resp.Responses[:last])
	return nil
}

// countItems counts the items that MaxLength limits.
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

// maxTail is the greatest number in the tail's key. The items of one more transaction still have
// numbers of 16 digits.
const maxTail = 1e16 - 1 - maxBatch

// encodeTail returns the tail's value: the next number, and the bound if there is one.
func encodeTail(next, bound int64) []byte {
	if bound == uncounted {
		return strconv.AppendInt(nil, next, 10)
	}
	return fmt.Appendf(nil, "%d %d", next, bound)
}

// parseTail returns the number of the next item, the bound of their number, and the revision of the
// tail's key.
func parseTail(got *gateway.GetResponse) (next, bound, mod int64, _ error) {
	if len(got.KVs) == 0 {
		return 1, uncounted, 0, nil
	}
	kv := got.KVs[0]
	number, length, counted := bytes.Cut(kv.Value, []byte{' '})
	next, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || next < 1 || next > maxTail {
		return 0, 0, 0, line.CorruptKey(kv)
	}
	if !counted {
		return next, uncounted, kv.ModRevision, nil
	}
	bound, err = strconv.ParseInt(string(length), 10, 64)
	if err != nil || bound < 0 || bound > maxTail {
		return 0, 0, 0, line.CorruptKey(kv)
	}
	return next, bound, kv.ModRevision, nil
}
