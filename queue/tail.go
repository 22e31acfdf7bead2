package queue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	pressure int // see backOff; the tail's value carries it

	alone  int           // how often this Queue has moved the tail since another client has
	moved  time.Time     // when it did last
	took   time.Duration // the duration of the last transaction
	opened time.Time     // when it has let others in
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

// appendBatch numbers records and puts them at the end, in a transaction that compares the tail. It
// marks the records that were put, and those that are duplicates, as done. It returns false if the
// guard did not hold, and ErrFull if there is no room for the rest.
//
// A producer that loses the compare finds the new tail in the answer, and tries again. No key keeps
// a place for a producer, so one that stops or dies does not delay the others.
func (q *Queue) appendBatch(ctx context.Context, m *batch) (bool, error) {
	select {
	case q.end.turn <- struct{}{}:
		defer func() { <-q.end.turn }()
	case <-ctx.Done():
		return false, ctxerr.Of(ctx)
	}
	if err := q.backOff(ctx, 0); err != nil {
		return false, err
	}
	if m.adds && !m.exact && q.opt.MaxLength > 0 && !m.mayHaveDuplicates() {
		if n, _, ok := q.room.length(); ok && n >= int64(q.opt.MaxLength) {
			return false, ErrFull // another producer has taken the room
		}
	}
	losses := 0
	for fresh := false; len(m.records) > 0; fresh = true {
		fresh = fresh || !q.end.known
		if err := q.readTail(ctx); err != nil {
			return false, err
		}
		n, err := q.fit(ctx, m)
		if err != nil || n == 0 {
			return err == nil, err
		}
		q.end.adjust(losses)
		begin := time.Now()
		resp, err := q.s.TxnFlat(ctx, q.appendTxn(m, n), 0)
		q.end.took = time.Since(begin)
		switch {
		case err != nil:
			q.end.known = false
			return false, err
		case resp.Succeeded:
			q.moved(m, n, resp)
			q.end.moved = time.Now()
			if len(m.records) > 0 {
				return false, q.room.fullAt(q.end.mod)
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
			losses++
			if losses == 1 && q.end.pressure <= lowPressure {
				continue
			}
			if err := q.backOff(ctx, losses); err != nil {
				return false, err
			}
		}
	}
	return true, nil
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
	revision, err := q.count(ctx, m.exact)
	if err != nil {
		return 0, err
	}
	if q.end.bound >= limit {
		return 0, q.room.fullAt(revision)
	}
	if 8*(limit-q.end.bound) < limit { // the bound would be used up, and the items counted, soon
		q.followLength()
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
			key = q.keys.items + itemKey(place(r.Priority, next), r.Group)
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
	put := gateway.OpPut(q.keys.tail, encodeTail(next, bound, q.end.pressure))
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
	q.end.alone++
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

func (q *Queue) seeTail(got *gateway.GetResponse) error {
	t, err := parseTail(got)
	if t.mod != q.end.mod {
		q.end.alone = 0
	}
	q.end.next, q.end.bound, q.end.pressure, q.end.mod = t.next, t.bound, t.pressure, t.mod
	q.end.known = err == nil
	return err
}

// count sets the bound to the number of items at the revision that it returns. Unless the count has
// to be exact, the watch may be late.
func (q *Queue) count(ctx context.Context, exact bool) (revision int64, _ error) {
	if n, at, ok := q.room.length(); ok && at >= q.end.mod && !exact {
		q.end.bound = n
		return at, nil
	}
	n, at, got, err := q.countItems(ctx)
	if err != nil {
		return 0, err
	}
	if err := q.seeTail(got); err != nil {
		return 0, err
	}
	q.end.bound = n
	return at, nil
}

// countItems returns the number of items that MaxLength limits at a revision, and the tail.
func (q *Queue) countItems(
	ctx context.Context,
) (n, revision int64, _ *gateway.GetResponse, _ error) {
	got, err := q.s.Client().Get(ctx, q.keys.gaps)
	if err != nil {
		return 0, 0, nil, err
	}
	for known := parseGaps(got); ; known = (gaps{}) { // again if they belong to another tail
		ops := []gateway.Op{
			gateway.OpGet(q.keys.tail),
			gateway.OpGet(q.keys.delayed, gateway.Prefix(), gateway.CountOnly()),
		}
		for _, r := range known.between(q.keys.items, "") {
			ops = append(ops, gateway.OpGet(r.from, gateway.Range(r.to), gateway.CountOnly()))
		}
		resp, err := q.s.Client().Txn(ctx, gateway.Txn{Then: ops})
		if err != nil {
			return 0, 0, nil, err
		}
		end := resp.Responses[0].Get
		if len(known.list) > 0 && (len(end.KVs) == 0 || end.KVs[0].CreateRevision != known.tail) {
			continue
		}
		for _, a := range resp.Responses[1:] {
			n += a.Get.Count
		}
		return n, resp.Revision, end, nil
	}
}

// maxTail is the greatest number in the tail's key. The items of one more transaction still have
// numbers of 16 digits.
const maxTail = 1e16 - 1 - maxBatch

// encodeTail returns the tail's value: the next number, the bound or "-", and the pressure. Parts
// at the end that say nothing are left out.
func encodeTail(next, bound int64, pressure int) []byte {
	out := strconv.AppendInt(nil, next, 10)
	switch {
	case bound != uncounted:
		out = fmt.Appendf(out, " %d", bound)
	case pressure > 0:
		out = append(out, " -"...)
	}
	if pressure > 0 {
		out = fmt.Appendf(out, " %d", pressure)
	}
	return out
}

// parseTail reads the tail's key.
func parseTail(got *gateway.GetResponse) (tail, error) {
	if len(got.KVs) == 0 {
		return tail{next: 1, bound: uncounted}, nil
	}
	kv := got.KVs[0]
	t := tail{bound: uncounted, mod: kv.ModRevision}
	parts := strings.Split(string(kv.Value), " ")
	ok := len(parts) <= 3
	number := func(i int, least, most int64) int64 {
		n, err := strconv.ParseInt(parts[i], 10, 64)
		ok = ok && err == nil && n >= least && n <= most
		return n
	}
	t.next = number(0, 1, maxTail)
	if len(parts) == 2 || len(parts) > 2 && parts[1] != "-" {
		t.bound = number(1, 0, maxTail)
	}
	if len(parts) > 2 {
		t.pressure = int(number(2, 1, maxPressure))
	}
	if !ok {
		return tail{}, line.CorruptKey(kv)
	}
	return t, nil
}
