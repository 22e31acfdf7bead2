package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/merge"
)

// EnqueueOptions configure an enqueue. nil means the zero value.
type EnqueueOptions struct {
	// Priority is 0 to 9. An item is delivered before all items of a lower priority.
	Priority int
	// Group makes the items of one group and one priority be delivered in their order,
	// [Options].PerGroup at a time. It is valid UTF-8 of at most [MaxGroup] bytes. An item without
	// a group waits for no other.
	Group string
	// Delay is the time for which the item is held back, by this process's clock. The item takes
	// its place at the end of the queue after that.
	Delay time.Duration
	// At is the time until which the item is held back, by this process's clock, in place of Delay.
	// A time in the past, or the zero time, holds nothing back.
	At time.Time
	// DedupID identifies the item. If an item was enqueued with the same DedupID within the queue's
	// DedupWindow, Enqueue adds no item and returns the ID of the earlier one, also when that was
	// acked or rejected since.
	DedupID string
	// NoWait makes the enqueue return [ErrFull] instead of waiting for room if the queue is at its
	// MaxLength. The first of several items are added as far as there is room.
	NoWait bool
}

// maxBatch is how many items one transaction takes, maxBatchBytes how many bytes unless it is for
// one item.
const (
	maxBatch      = 100
	maxBatchBytes = 512 << 10
)

// Enqueue adds an item and returns its ID. It waits for room if the queue is at its MaxLength.
//
// Returns [gateway.ErrUncertain] when ctx or the session ended after the item was sent: the item
// may be in the queue. After any other error it is not. Returns [ErrTooLarge] when value exceeds
// [MaxValue], [ErrFull] with NoWait, [session.ErrLost] when the session has ended, and ctx's error
// when ctx ends.
func (q *Queue) Enqueue(
	ctx context.Context, value []byte, opts *EnqueueOptions,
) (id string, err error) {
	return q.add(ctx, value, opts)
}

// EnqueueAll adds items in the order of values and returns their IDs. Each transaction adds up to
// 100 items and 512 KiB. All values are checked before the first is sent, and several values cannot
// have a DedupID.
//
// If it fails, it returns the IDs of the first values, which are in the queue. It returns the same
// errors as [Queue.Enqueue]. After [gateway.ErrUncertain], the items of the next transaction may be
// in the queue too.
func (q *Queue) EnqueueAll(
	ctx context.Context, values [][]byte, opts *EnqueueOptions,
) (ids []string, err error) {
	return q.addEach(ctx, values, opts)
}

func (p *producer) add(
	ctx context.Context, value []byte, opts *EnqueueOptions,
) (id string, err error) {
	ids, err := p.enqueueAll(ctx, [][]byte{value}, opts)
	if err != nil {
		return "", p.wrap("enqueue", err)
	}
	return ids[0], nil
}

func (p *producer) addEach(
	ctx context.Context, values [][]byte, opts *EnqueueOptions,
) (ids []string, err error) {
	if ids, err = p.enqueueAll(ctx, values, opts); err != nil {
		return ids, p.wrap("enqueue all", err)
	}
	return ids, nil
}

func (p *producer) enqueueAll(
	ctx context.Context, values [][]byte, opts *EnqueueOptions,
) (ids []string, err error) {
	var o EnqueueOptions
	if opts != nil {
		o = *opts
	}
	if err := p.checkAddition(values, o); err != nil {
		return nil, err
	}
	for len(values) > 0 {
		n, size := 0, 0
		for n < min(len(values), maxBatch) && (n == 0 || size+len(values[n]) <= maxBatchBytes) {
			size += len(values[n])
			n++
		}
		some, err := p.enqueue(ctx, values[:n], o)
		p.opt.Hooks.enqueued(ctx, len(some))
		ids, values = append(ids, some...), values[n:]
		if err != nil {
			return ids, p.whyEnded(err)
		}
	}
	return ids, nil
}

// addition is the items of one caller for one transaction.
type addition struct {
	records []record
	size    int
	dedup   string // of the only record
	noWait  bool
}

var lastID atomic.Int64

func (p *producer) newID() string {
	// Items of one due time sort by it.
	return fmt.Sprintf("%s-%09d", p.host.Incarnation(), lastID.Add(1))
}

// enqueue adds up to as many items as one transaction takes. It returns the IDs of the first, also
// with an error.
func (p *producer) enqueue(
	ctx context.Context, values [][]byte, o EnqueueOptions,
) (ids []string, _ error) {
	a := &addition{dedup: o.DedupID, noWait: o.NoWait}
	now, due := time.Now(), int64(0)
	switch {
	case o.Delay > 0:
		due = now.Add(o.Delay).UnixMilli()
	case o.At.After(now):
		due = o.At.UnixMilli()
	}
	for _, v := range values {
		r := record{
			ID: p.newID(), Enqueued: now.UnixMilli(), Priority: o.Priority, Group: o.Group,
			value: v, due: due,
		}
		a.size += len(r.stored())
		a.records = append(a.records, r)
	}
	for {
		err := p.adds.Do(ctx, a)
		if err != nil && !errors.Is(err, ErrFull) {
			return ids, err
		}
		for len(a.records) > 0 && a.records[0].done {
			ids, a.records = append(ids, a.records[0].ID), a.records[1:]
		}
		if err == nil || o.NoWait {
			return ids, err
		}
		if err := p.awaitRoom(ctx); err != nil {
			return ids, err
		}
	}
}

func (p *producer) checkAddition(values [][]byte, o EnqueueOptions) error {
	if err := p.check(); err != nil {
		return err
	}
	switch {
	case o.Priority < 0 || o.Priority > MaxPriority:
		return invalid("a priority of %d is not between 0 and %d", o.Priority, MaxPriority)
	case len(o.Group) > MaxGroup:
		return tooLarge("a Group of %d bytes; %d are possible", len(o.Group), MaxGroup)
	case !utf8.ValidString(o.Group):
		return invalid("a Group that is no UTF-8")
	case o.Delay < 0:
		return invalid("a negative delay")
	case o.Delay > 0 && !o.At.IsZero():
		return invalid("both a Delay and an At")
	case o.At.After(time.UnixMilli(maxTime)): // the milliseconds of a far time are no number
		return invalid("an At after the year %d", time.UnixMilli(maxTime).Year()-1)
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
	return p.host.Err()
}

// whyEnded prefers the loss of the session to the errors that it causes.
func (p *producer) whyEnded(err error) error {
	if err == nil {
		return nil
	}
	lost := p.host.Err()
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
		if j.V.dedup != "" {
			n++ // the de-duplication key is put, too
		}
		size += j.V.size
		same := func(o *merge.Job[*addition]) bool { return o.V.dedup == j.V.dedup }
		twice := j.V.dedup != "" && slices.ContainsFunc(waiting[:i], same)
		if i > 0 && (n > maxBatch || size > maxBatchBytes || twice) {
			return i
		}
	}
	return len(waiting)
}

// sendAdditions adds what several callers want. What the server refuses as a whole goes again one
// by one, so that it is refused to those alone who are to blame.
func (p *producer) sendAdditions(ctx context.Context, jobs []*merge.Job[*addition]) {
	err := p.addAll(ctx, jobs)
	alone := err != nil && len(jobs) > 1 && ctx.Err() == nil &&
		!errors.Is(err, ErrFull) && !errors.Is(err, gateway.ErrUncertain)
	for i, j := range jobs {
		switch {
		case !slices.ContainsFunc(j.V.records, func(r record) bool { return !r.done }):
		case alone:
			j.Err = p.addAll(ctx, jobs[i:i+1])
		default:
			j.Err = err
		}
	}
}

func (p *producer) addAll(ctx context.Context, jobs []*merge.Job[*addition]) error {
	m := batch{adds: true}
	for _, j := range jobs {
		m.exact = m.exact || j.V.noWait
		for i := range j.V.records {
			if r := &j.V.records[i]; !r.done {
				m.records = append(m.records, r)
				m.dedups = append(m.dedups, j.V.dedup)
			}
		}
	}
	return p.withLease(ctx, &m, func() error {
		added, err := p.appendBatch(ctx, &m)
		if err == nil && !added { // there is no guard that could fail
			err = fmt.Errorf("%w: the tail has changed and has not", gateway.ErrProtocol)
		}
		return err
	})
}
