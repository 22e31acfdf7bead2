package queue

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// tail is the end of the queue as a producer knows it.
type tail struct {
	turn  chan struct{} // held by the goroutine that moves the tail
	known bool
	next  int64 // the number of the next item
	mod   int64 // mod_revision of the tail's key
	at    int64 // a revision at which it was that
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
func (p *producer) appendBatch(ctx context.Context, m *batch) (bool, error) {
	select {
	case p.end.turn <- struct{}{}:
		defer func() { <-p.end.turn }()
	case <-ctx.Done():
		return false, ctxerr.Of(ctx)
	}
	if err := p.backOff(ctx, 0); err != nil {
		return false, err
	}
	if m.adds && !m.exact && p.opt.MaxLength > 0 && !m.mayHaveDuplicates() {
		if n, _, ok := p.room.length(); ok && n >= int64(p.opt.MaxLength) {
			return false, ErrFull // another producer has taken the room
		}
	}
	losses := 0
	for fresh := false; len(m.records) > 0; fresh = true {
		fresh = fresh || !p.end.known
		if err := p.readTail(ctx); err != nil {
			return false, err
		}
		n, err := p.fit(ctx, m)
		if err != nil || n == 0 {
			return err == nil, err
		}
		p.end.adjust(losses)
		begin := time.Now()
		resp, err := p.append(ctx, m, n)
		p.end.took = time.Since(begin)
		switch {
		case err != nil:
			p.end.known = false
			return false, err
		case resp.Succeeded:
			p.moved(m, n, resp)
			p.end.moved = time.Now()
			if len(m.records) > 0 {
				return false, p.room.fullAt(p.end.mod)
			}
			return true, nil
		case resp.Responses == nil:
			p.end.known = false
			continue
		}
		before := p.end.mod
		if err := p.seeTail(resp.Responses[0].Get, resp.Revision); err != nil {
			return false, err
		}
		dropped, err := m.drop(resp.Responses[1:])
		switch {
		case err != nil:
			return false, err
		case dropped:
		case p.end.mod == before:
			return false, nil
		case fresh: // else the tail was only known from earlier
			losses++
			if losses == 1 && p.end.pressure <= lowPressure {
				continue
			}
			if err := p.backOff(ctx, losses); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// fit returns how many of the records have room.
func (p *producer) fit(ctx context.Context, m *batch) (int, error) {
	limit := int64(p.opt.MaxLength)
	enough := func() bool {
		return p.end.bound != uncounted && p.end.bound+int64(len(m.records)) <= limit
	}
	if !m.adds || limit == 0 || enough() {
		return len(m.records), nil
	}
	if err := p.dropFound(ctx, m); err != nil || len(m.records) == 0 || enough() {
		return len(m.records), err
	}
	revision, err := p.count(ctx, m.exact)
	if err != nil {
		return 0, err
	}
	if p.end.bound >= limit {
		return 0, p.room.fullAt(revision)
	}
	if 8*(limit-p.end.bound) < limit { // the bound would be used up, and the items counted, soon
		p.followLength()
	}
	return int(min(int64(len(m.records)), limit-p.end.bound)), nil
}

// appendTxn puts the first n records.
func (p *producer) appendTxn(m *batch, n int) gateway.Txn {
	next, bound := p.end.next, p.end.bound
	ops, absent := []gateway.Op{}, []gateway.Cmp{}
	for i, r := range m.records[:n] {
		ops = append(ops, gateway.OpPut(p.keyOf(r, next), r.stored()))
		if r.due == 0 {
			next++
		}
		if m.dedups != nil && m.dedups[i] != "" {
			dedup := p.keys.dedups + m.dedups[i]
			ops = append(ops, gateway.OpPut(dedup, []byte(r.ID), gateway.WithLease(m.lease)))
			absent = append(absent, gateway.CmpCreateRevision(dedup, gateway.Equal, 0))
		}
	}
	if m.adds && bound != uncounted {
		bound += int64(n)
	}
	still := gateway.CmpModRevision(p.keys.tail, gateway.Equal, p.end.mod)
	put := gateway.OpPut(p.keys.tail, encodeTail(next, bound, p.end.pressure))
	return gateway.Txn{
		If:   slices.Concat([]gateway.Cmp{still}, m.guard, absent),
		Then: append(append(ops, m.from...), put),
		Else: append([]gateway.Op{gateway.OpGet(p.keys.tail)}, p.readDedups(m)...),
	}
}

// keyOf returns the key of an item that is put, with next if it takes a number.
func (p *producer) keyOf(r *record, next int64) string {
	if r.due != 0 {
		return p.keys.dueKey(r.due, r.ID)
	}
	return p.keys.items + itemKey(place(r.Priority, next), r.Group)
}

// moved takes the answer to appendTxn.
func (p *producer) moved(m *batch, n int, resp *gateway.TxnResponse) {
	for _, r := range m.records[:n] {
		r.done = true
		if r.due == 0 {
			p.end.next++
		}
	}
	m.records = m.records[n:]
	if m.dedups != nil {
		m.dedups = m.dedups[n:]
	}
	if m.adds && p.end.bound != uncounted {
		p.end.bound += int64(n)
	}
	p.end.mod, p.end.at = resp.Revision, resp.Revision
	p.end.alone++
	p.end.known = p.end.next <= maxTail
}

func (p *producer) readTail(ctx context.Context) error {
	if p.end.known {
		return nil
	}
	got, err := p.host.Client().Get(ctx, p.keys.tail)
	if err != nil {
		return err
	}
	return p.seeTail(got, got.Revision)
}

// seeTail takes the tail as it was read at a revision.
func (p *producer) seeTail(got *gateway.GetResponse, at int64) error {
	t, err := parseTail(got)
	if t.mod != p.end.mod {
		p.end.alone = 0
	}
	p.end.next, p.end.bound, p.end.pressure, p.end.mod = t.next, t.bound, t.pressure, t.mod
	p.end.at = at
	p.end.known = err == nil
	return err
}
