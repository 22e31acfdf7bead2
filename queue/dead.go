package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// MaxReason is the longest reason of a dead letter in bytes.
const MaxReason = 1024

// DeadLetter is an item that is no longer delivered.
type DeadLetter struct {
	ID       string
	Value    []byte
	Priority int
	Group    string
	Attempts int
	Enqueued time.Time
	Reason   string // of Reject, or that MaxAttempts was reached
	DeadAt   time.Time
}

type dead struct {
	record
	key    string
	create int64
}

// buried reads the dead letters, in the order of their IDs.
func (q *Queue) buried(ctx context.Context) iter.Seq2[dead, error] {
	return func(yield func(dead, error) bool) {
		for from := q.keys.dead; ; {
			resp, err := q.s.Client().Get(ctx, from,
				gateway.Range(until(q.keys.dead)), gateway.Limit(keysOfDead), gateway.KeysOnly())
			if err == nil {
				err = goesOn(resp, from)
			}
			if err != nil {
				yield(dead{}, err)
				return
			}
			for page := range slices.Chunk(resp.KVs, pageOfDead) {
				if !q.buriedOf(ctx, page, yield) {
					return
				}
			}
			if !resp.More {
				return
			}
			from = resp.KVs[len(resp.KVs)-1].Key + "\x00"
		}
	}
}

// buriedOf yields the dead letters with these keys, without those that were moved meanwhile.
func (q *Queue) buriedOf(
	ctx context.Context, page []gateway.KeyValue, yield func(dead, error) bool,
) bool {
	var values gateway.Txn
	for _, kv := range page {
		values.Then = append(values.Then, gateway.OpGet(kv.Key))
	}
	resp, err := q.s.Client().Txn(ctx, values)
	if err != nil {
		yield(dead{}, err)
		return false
	}
	for _, kv := range joined(resp.Responses).Get.KVs {
		r, err := decode(kv.Value)
		d := dead{record: r, key: kv.Key, create: kv.CreateRevision}
		if err == nil && !yield(d, nil) {
			return false
		}
	}
	return true
}

// goesOn fails where an answer says that there are more, and has none to go on from.
func goesOn(resp *gateway.GetResponse, from string) error {
	if n := len(resp.KVs); resp.More && (n == 0 || resp.KVs[n-1].Key < from) {
		return fmt.Errorf("%w: more dead letters, and none to go on from", gateway.ErrProtocol)
	}
	return nil
}

// DeadLetters yields the items that were rejected or have had MaxAttempts deliveries, in the order
// of their IDs. If a read fails, the last pair holds its error.
func (q *Queue) DeadLetters(ctx context.Context) iter.Seq2[*DeadLetter, error] {
	return func(yield func(*DeadLetter, error) bool) {
		if err := q.check(); err != nil {
			yield(nil, q.wrap("dead letters", err))
			return
		}
		for d, err := range q.buried(ctx) {
			if err != nil {
				yield(nil, q.wrap("dead letters", err))
				return
			}
			letter := &DeadLetter{
				ID: d.ID, Value: d.value, Priority: d.Priority, Group: d.Group,
				Attempts: d.Attempts,
				Enqueued: toTime(d.Enqueued), Reason: d.Reason, DeadAt: toTime(d.DeadAt),
			}
			if !yield(letter, nil) {
				return
			}
		}
	}
}

// Redrive moves the dead letters with the given IDs, or all of them without IDs, to the end of the
// queue and resets their attempts. It moves each in one transaction, and waits for room if the
// queue is at its MaxLength. It returns the number of moved items, also with an error.
//
// Returns ctx's error when ctx ends and [session.ErrLost] when the session ends. The item in flight
// may have been moved then.
func (q *Queue) Redrive(ctx context.Context, ids ...string) (n int, err error) {
	if err := q.check(); err != nil {
		return 0, q.wrap("redrive", err)
	}
	ctx, cancel := q.s.Bound(ctx)
	defer cancel()
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	for d, err := range q.buried(ctx) {
		if err == nil && (len(ids) == 0 || wanted[d.ID]) {
			var moved bool
			if moved, err = q.revive(ctx, d); moved {
				n++
			}
		}
		if err != nil {
			return n, q.wrap("redrive", q.whyEnded(err))
		}
	}
	return n, nil
}

func (q *Queue) revive(ctx context.Context, d dead) (moved bool, err error) {
	for {
		r := record{
			ID: d.ID, Enqueued: d.Enqueued, Priority: d.Priority, Group: d.Group, value: d.value,
		}
		moved, err = q.appendBatch(ctx, &batch{
			records: []*record{&r},
			adds:    true,
			guard:   []gateway.Cmp{gateway.CmpCreateRevision(d.key, gateway.Equal, d.create)},
			from:    []gateway.Op{gateway.OpDelete(d.key)},
		})
		if !errors.Is(err, ErrFull) {
			return moved, err
		}
		if err := q.awaitRoom(ctx); err != nil {
			return false, err
		}
	}
}
