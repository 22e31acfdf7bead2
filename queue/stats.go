package queue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Stats are the numbers of a queue at one revision.
type Stats struct {
	Revision int64
	Ready    int64 // to be delivered
	Claimed  int64 // with a consumer
	Delayed  int64
	Dead     int64
	Enqueued int64 // ever numbered: enqueued, back from a delay, or redriven
	Paused   bool
}

// Stats counts. The server takes time that grows with the numbers.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	if err := q.check(); err != nil {
		return Stats{}, q.wrap("stats", err)
	}
	var t gateway.Txn
	for _, prefix := range []string{q.keys.items, q.keys.claims, q.keys.delayed, q.keys.dead} {
		t.Then = append(t.Then, gateway.OpGet(prefix, gateway.Prefix(), gateway.CountOnly()))
	}
	t.Then = append(t.Then, gateway.OpGet(q.keys.paused), gateway.OpGet(q.keys.tail))
	resp, err := q.s.Client().Txn(ctx, t)
	if err != nil {
		return Stats{}, q.wrap("stats", err)
	}
	count := func(i int) int64 { return resp.Responses[i].Get.Count }
	next, _, err := parseTail(resp.Responses[5].Get)
	if err != nil {
		return Stats{}, q.wrap("stats", err)
	}
	return Stats{
		Revision: resp.Revision, Ready: count(0) - count(1), Claimed: count(1), Delayed: count(2), Dead: count(3),
		Enqueued: next - 1, Paused: count(4) > 0,
	}, nil
}

// Item is what [Queue.Peek] sees.
type Item struct {
	ID       string
	Value    []byte
	Priority int
	Enqueued time.Time
	Claimed  bool
}

// MaxPeek is how many items Peek reads at most.
const MaxPeek = 100

// Peek reads the first n items, up to 100, in the order of delivery, and claims none.
func (q *Queue) Peek(ctx context.Context, n int) ([]Item, error) {
	err := q.check()
	if err == nil && (n < 1 || n > MaxPeek) {
		err = invalid("%d items to peek at is not between 1 and %d", n, MaxPeek)
	}
	if err != nil {
		return nil, q.wrap("peek", err)
	}
	resp, err := q.s.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(q.keys.items, gateway.Prefix(), gateway.Limit(int64(n))),
		gateway.OpGet(q.keys.claims, gateway.Prefix(), gateway.KeysOnly()),
	}})
	if err != nil {
		return nil, q.wrap("peek", err)
	}
	claimed := map[string]bool{}
	for _, kv := range resp.Responses[1].Get.KVs {
		claimed[strings.TrimPrefix(kv.Key, q.keys.claims)] = true
	}
	var items []Item
	for _, kv := range resp.Responses[0].Get.KVs {
		place := strings.TrimPrefix(kv.Key, q.keys.items)
		r, err := decode(kv.Value)
		priority, ok := priorityOf(place)
		if err == nil && ok {
			items = append(items, Item{r.ID, r.value, priority, toTime(r.Enqueued), claimed[place]})
		}
	}
	return items, nil
}

// Pause stops the delivery to all consumers until [Queue.Resume]. What they have, they may finish; what is on its way to
// them when Pause returns may still arrive.
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

// Resume ends a Pause.
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
