package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Stats are the numbers of items of a queue at one revision.
type Stats struct {
	Revision int64
	Ready    int64 // neither claimed nor delayed; some may wait for others of their group
	Claimed  int64 // held by a consumer, or claimed ahead for one
	Delayed  int64
	Dead     int64
	Enqueued int64 // ever put at the end of the queue: enqueued, after a delay, or redriven
	Paused   bool
}

// Stats counts the items in one transaction. The time that etcd takes grows with their number.
// Returns [session.ErrCorrupt] when the tail's value is corrupt, and else the error of the request.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	if err := q.check(); err != nil {
		return Stats{}, q.wrap("stats", err)
	}
	resp, err := q.betweenGaps(ctx, func(known gaps) []gateway.Op {
		return slices.Concat([]gateway.Op{
			gateway.OpGet(q.keys.paused), gateway.OpGet(q.keys.tail),
			gateway.OpGet(q.keys.delayed, gateway.Prefix(), gateway.CountOnly()),
			gateway.OpGet(q.keys.dead, gateway.Prefix(), gateway.CountOnly()),
		},
			getRanges(known.between(q.keys.items, ""), gateway.CountOnly()),
			getRanges(known.between(q.keys.claims, ""), gateway.CountOnly()))
	})
	if err != nil {
		return Stats{}, q.wrap("stats", err)
	}
	rest := resp.Responses[4:]
	items, claimed := countOf(rest[:len(rest)/2]), countOf(rest[len(rest)/2:])
	tail, err := parseTail(resp.Responses[1].Get)
	if err != nil {
		return Stats{}, q.wrap("stats", err)
	}
	return Stats{
		Revision: resp.Revision,
		Ready:    items - claimed, Claimed: claimed,
		Delayed: resp.Responses[2].Get.Count, Dead: resp.Responses[3].Get.Count,
		Enqueued: tail.next - 1, Paused: resp.Responses[0].Get.Count > 0,
	}, nil
}

// Item is an item as [Queue.Peek] returns it.
type Item struct {
	ID       string
	Value    []byte
	Priority int
	Group    string
	Enqueued time.Time
	Claimed  bool
}

// MaxPeek is the largest number of items of a [Queue.Peek].
const MaxPeek = 100

// Peek returns the first n items in the order of delivery, including claimed items, and claims
// none. It reads the values in several requests. An item that is removed meanwhile is left out, and
// so is one that is not of this library. Returns [gateway.ErrInvalid] when n is not between 1 and
// [MaxPeek], and else the error of the request.
func (q *Queue) Peek(ctx context.Context, n int) ([]Item, error) {
	err := q.check()
	if err == nil && (n < 1 || n > MaxPeek) {
		err = invalid("%d items to peek at is not between 1 and %d", n, MaxPeek)
	}
	if err != nil {
		return nil, q.wrap("peek", err)
	}
	first, err := q.firstKeys(ctx, n)
	if err != nil {
		return nil, q.wrap("peek", err)
	}
	var items []Item
	for page := range slices.Chunk(first, peekPage) {
		var values gateway.Txn
		for _, kv := range page {
			place, _ := parseItemKey(strings.TrimPrefix(kv.Key, q.keys.items))
			values.Then = append(values.Then, gateway.OpGet(kv.Key),
				gateway.OpGet(q.keys.claims+place, gateway.CountOnly()))
		}
		resp, err := q.s.Client().Txn(ctx, values)
		if err != nil {
			return nil, q.wrap("peek", err)
		}
		for i, kv := range page {
			place, group := parseItemKey(strings.TrimPrefix(kv.Key, q.keys.items))
			priority, ok := priorityOf(place)
			found, claims := resp.Responses[2*i].Get.KVs, resp.Responses[2*i+1].Get.Count
			if ok && len(found) > 0 {
				if r, err := decode(found[0].Value); err == nil {
					items = append(items, Item{
						ID: r.ID, Value: r.value, Priority: priority, Group: group,
						Enqueued: toTime(r.Enqueued), Claimed: claims > 0,
					})
				}
			}
		}
	}
	return items, nil
}

// Pause stops the delivery to all consumers until [Queue.Resume]. Consumers keep the messages that
// they hold, and may still receive items that they claimed before they noticed the pause. Returns
// [session.ErrLost] when the session has ended, and ctx's error when ctx ends, with
// [gateway.ErrUncertain] if the write was in flight.
func (q *Queue) Pause(ctx context.Context) error {
	err := q.check()
	if err == nil {
		_, err = q.s.Txn(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpPut(q.keys.paused, nil)}})
	}
	if err != nil {
		return q.wrap("pause", err)
	}
	return nil
}

// Resume ends a pause. It returns nil if the queue is not paused. Returns [session.ErrLost] when
// the session has ended, and ctx's error when ctx ends, with [gateway.ErrUncertain] if the write
// was in flight.
func (q *Queue) Resume(ctx context.Context) error {
	err := q.check()
	if err == nil {
		err = q.s.Remove(ctx, q.keys.paused)
	}
	if err != nil && !errors.Is(err, session.ErrNotHeld) {
		return q.wrap("resume", err)
	}
	return nil
}
