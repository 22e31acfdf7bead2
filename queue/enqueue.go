package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/merge"
)

// EnqueueOptions say how an item is enqueued; nil means the zero value.
type EnqueueOptions struct {
	// Priority, 0 to 9: an item is delivered before all items of a lower priority.
	Priority int
	// Delay is how long the item is kept back, by this process's clock. It takes its place in the order when it is over.
	Delay time.Duration
	// DedupID makes Enqueue do nothing, and return the ID of the earlier item, if an item was enqueued with the same
	// DedupID within the queue's DedupWindow.
	DedupID string
}

// maxBatch is how many items one transaction takes, maxBatchBytes how many bytes unless it is for one item.
const (
	maxBatch      = 100
	maxBatchBytes = 512 << 10
)

// Enqueue adds an item and returns its ID. If it fails with [gateway.ErrUncertain], because ctx ended after the item was
// sent, the item may be in the queue; after any other error it is not.
func (q *Queue) Enqueue(ctx context.Context, value []byte, opts *EnqueueOptions) (id string, err error) {
	ids, err := q.enqueue(ctx, [][]byte{value}, opts)
	if err != nil {
		return "", q.wrap("enqueue", err)
	}
	return ids[0], nil
}

// EnqueueAll adds items in their order, up to 100 of them and 512 KiB with one transaction. If it fails, the IDs are of
// those that are known to be in the queue, the first of values; those behind them by no more than one transaction may be
// if the error is [gateway.ErrUncertain].
func (q *Queue) EnqueueAll(ctx context.Context, values [][]byte, opts *EnqueueOptions) (ids []string, err error) {
	for len(values) > 0 {
		n, size := 0, 0
		for n < min(len(values), maxBatch, q.atOnce()) && (n == 0 || size+len(values[n]) <= maxBatchBytes) {
			size += len(values[n])
			n++
		}
		some, err := q.enqueue(ctx, values[:n], opts)
		if err != nil {
			return ids, q.wrap("enqueue all", err)
		}
		ids, values = append(ids, some...), values[n:]
	}
	return ids, nil
}

// atOnce bounds what is added in one transaction.
func (q *Queue) atOnce() int {
	if q.opt.MaxLength == 0 {
		return maxBatch
	}
	return q.opt.MaxLength
}

// addition is what one transaction must add as a whole.
type addition struct {
	records []record
	size    int
	dedup   string // of the only record
}

var lastID atomic.Int64

func (q *Queue) newID() string {
	return fmt.Sprintf("%s-%09d", q.s.Lease(), lastID.Add(1)) // items of one due time sort by it
}

func (q *Queue) enqueue(ctx context.Context, values [][]byte, opts *EnqueueOptions) ([]string, error) {
	var o EnqueueOptions
	if opts != nil {
		o = *opts
	}
	if err := q.checkAddition(values, o); err != nil {
		return nil, err
	}
	a := &addition{dedup: o.DedupID}
	now := time.Now().UnixMilli()
	ids := make([]string, len(values))
	for i, v := range values {
		ids[i] = q.newID()
		a.records = append(a.records, record{ID: ids[i], Enqueued: now, Priority: o.Priority, value: v})
		a.size += len(v)
	}
	var err error
	if o.Delay > 0 {
		err = q.addDelayed(ctx, a, time.Now().Add(o.Delay).UnixMilli())
	} else {
		err = q.add(ctx, a)
	}
	if err != nil {
		return nil, err
	}
	for i := range ids {
		ids[i] = a.records[i].ID // of an earlier item, perhaps
	}
	return ids, nil
}

func (q *Queue) checkAddition(values [][]byte, o EnqueueOptions) error {
	if err := q.check(); err != nil {
		return err
	}
	switch {
	case o.Priority < 0 || o.Priority > MaxPriority:
		return invalid("a priority of %d is not between 0 and %d", o.Priority, MaxPriority)
	case o.Delay < 0:
		return invalid("a negative delay")
	case len(o.DedupID) > MaxDedupID:
		return tooLarge("a DedupID of %d bytes; %d are possible", len(o.DedupID), MaxDedupID)
	case o.DedupID != "" && len(values) > 1:
		return invalid("one DedupID for several items")
	}
	for _, v := range values {
		if len(v) > MaxValue {
			return tooLarge("a value of %d bytes; %d are possible", len(v), MaxValue)
		}
	}
	return q.s.Err()
}

// add adds at the end, once there is room.
func (q *Queue) add(ctx context.Context, a *addition) error {
	ctx, cancel := q.bound(ctx)
	defer cancel()
	for {
		err := q.adds.Do(ctx, a)
		if errors.Is(err, errFull) {
			if err = q.awaitRoom(ctx, len(a.records)); err == nil {
				continue
			}
		}
		return q.whyEnded(ctx, err)
	}
}

// whyEnded prefers the loss of the session to the errors that it causes.
func (q *Queue) whyEnded(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	lost := q.s.Err()
	switch {
	case lost == nil || errors.Is(err, lost):
		return err
	case errors.Is(err, gateway.ErrUncertain):
		return fmt.Errorf("%w: %w", gateway.ErrUncertain, lost)
	}
	return lost
}

// pickAdditions keeps to the limits of a transaction, and to one item of each DedupID.
func pickAdditions(waiting []*merge.Job[*addition]) int {
	n, size := 0, 0
	for i, j := range waiting {
		n += len(j.V.records)
		size += j.V.size
		if i > 0 && (n > maxBatch || size > maxBatchBytes || j.V.dedup != "" && slices.ContainsFunc(waiting[:i], func(o *merge.Job[*addition]) bool {
			return o.V.dedup == j.V.dedup
		})) {
			return i
		}
	}
	return len(waiting)
}

// sendAdditions adds what several callers want. What the server refuses as a whole goes again one by one, so that it is
// refused to those alone who are to blame.
func (q *Queue) sendAdditions(ctx context.Context, jobs []*merge.Job[*addition]) {
	err := q.addAll(ctx, jobs)
	alone := err != nil && len(jobs) > 1 && ctx.Err() == nil && !errors.Is(err, gateway.ErrUncertain)
	for i, j := range jobs {
		if j.Err = err; alone {
			j.Err = q.addAll(ctx, jobs[i:i+1])
		}
	}
}

func (q *Queue) addAll(ctx context.Context, jobs []*merge.Job[*addition]) error {
	m := move{room: true}
	for _, j := range jobs {
		for i := range j.V.records {
			m.records = append(m.records, &j.V.records[i])
			m.dedups = append(m.dedups, j.V.dedup)
		}
	}
	return q.withLease(ctx, &m, func() error {
		_, err := q.append(ctx, &m)
		return err
	})
}

// end is the end of the queue as this Queue knows it.
type end struct {
	turn   chan struct{} // held by whoever moves it
	known  bool
	next   int64 // number
	mod    int64 // of the tail's key
	length int64 // at that revision, and not more until the tail moves; only with MaxLength
}

// move is what one transaction puts at the end of the queue.
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
		put := gateway.OpPut(q.keys.items+place(r.Priority, next), r.encode())
		if m.dedups != nil && m.dedups[i] != "" {
			put = gateway.OpTxn(q.once(m.dedups[i], r.ID, m.lease, put))
		}
		ops = append(ops, put)
		next++
	}
	ops = append(ops, m.from...)
	ops = append(ops, gateway.OpPut(q.keys.tail, strconv.AppendInt(nil, next, 10)))
	if q.opt.MaxLength > 0 {
		ops = append(ops, q.countItems())
	}
	return gateway.Txn{
		If:   append([]gateway.Cmp{gateway.ModRevision(q.keys.tail, gateway.Equal, q.end.mod)}, m.guard...),
		Then: ops,
		Else: q.look(),
	}
}

func (q *Queue) countItems() gateway.Op {
	return gateway.OpGet(q.keys.items, gateway.Prefix(), gateway.CountOnly())
}

// look reads the end.
func (q *Queue) look() []gateway.Op {
	ops := []gateway.Op{gateway.OpGet(q.keys.tail)}
	if q.opt.MaxLength > 0 {
		ops = append(ops, q.countItems())
	}
	return ops
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
	if q.opt.MaxLength > 0 {
		q.end.length = look[1].Get.Count
	}
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
	q.end.next += int64(len(m.records))
	q.end.mod = resp.Revision
	if q.opt.MaxLength > 0 {
		q.end.known = resp.Responses != nil
	}
	if q.end.known && q.opt.MaxLength > 0 {
		q.end.length = resp.Responses[len(resp.Responses)-1].Get.Count
	}
}

// addDelayed puts an item among the delayed ones.
func (q *Queue) addDelayed(ctx context.Context, a *addition, due int64) error {
	var put []gateway.Op
	for i := range a.records {
		r := &a.records[i]
		put = append(put, gateway.OpPut(q.keys.dueKey(due, r.ID), r.encode()))
	}
	if a.dedup == "" {
		_, err := q.s.Txn(ctx, gateway.Txn{Then: put})
		return err
	}
	m := move{records: []*record{&a.records[0]}, dedups: []string{a.dedup}}
	return q.withLease(ctx, &m, func() error {
		once := gateway.OpTxn(q.once(a.dedup, a.records[0].ID, m.lease, put[0]))
		resp, err := q.s.Txn(ctx, gateway.Txn{Then: []gateway.Op{once}})
		if err != nil {
			return err
		}
		return q.resolve(ctx, &m, resp)
	})
}

// uncertain marks an error after which nobody knows whether something was applied.
func uncertain(err error) error {
	if errors.Is(err, gateway.ErrUncertain) {
		return err
	}
	return fmt.Errorf("%w: %w", gateway.ErrUncertain, err)
}
