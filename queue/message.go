package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Message is an item that this process has claimed. No other consumer receives the item until the
// claim is given back or lost. A Message is safe for concurrent use.
//
// Ack, AckWith, Nack, Requeue and Reject end the claim. Each returns [session.ErrNotHeld] when the
// claim was lost or ended before. When ctx ends first, it returns [gateway.ErrUncertain] with ctx's
// error, and the session continues in the background; a repeated call waits for that. If ctx has
// ended before the call, or is the message's own context, the call has 1 s of its own. If etcd
// refuses the call, the item stays claimed, and the same or another of these calls may follow.
type Message struct {
	hold *core.Hold

	ID       string
	Value    []byte
	Priority int
	Group    string
	Attempt  int       // from 1; deliveries that a crash cut short count
	Enqueued time.Time // by the producer's clock

	q      *Queue
	cache  *itemCache
	entry  *entry
	grip   *core.Releaser
	place  string
	slot   int    // or noSlot
	tag    string // the value of the keys of the claim and the slot
	claims int
	// delivered is the time at which the message was returned to a caller.
	delivered time.Time
	counted   bool // the attempt; else it is counted when the message is given back
}

// Ack removes the item from the queue, because the work is done. See [Message] for its errors.
func (m *Message) Ack(ctx context.Context) error {
	return m.settle(ctx, Acked, 0)
}

// AckWith removes the item and applies ops in the same transaction, so that they are applied
// exactly once for each item. Use [gateway.OpTxn] for operations with conditions of their own.
// Returns [ErrTooLarge] when there are more than [MaxAckOps] operations. See [Message] for its
// other errors.
func (m *Message) AckWith(ctx context.Context, ops ...gateway.Op) error {
	if len(ops) > MaxAckOps {
		return m.q.wrap("ack", tooLarge("%d operations; %d are possible", len(ops), MaxAckOps))
	}
	if len(ops) == 0 {
		return m.Ack(ctx)
	}
	// Alone: ops may write the same keys as those of another message, which etcd refuses in one
	// transaction.
	err := m.release(ctx, Acked, core.ReleaseWrite{Then: append(m.remove(), ops...)})
	if err == nil {
		m.cache.settled(m.entry)
	}
	return err
}

// Nack gives the item back, to be delivered again. Without a delay, the item keeps its place and
// can be received at once. With a delay, by this process's clock, it takes its place at the end of
// the queue after that. An item of a group keeps its place also with a delay, and the items behind
// it in the group wait, unless PerGroup lets them go on. Returns [gateway.ErrInvalid] when delay is
// negative. See [Message] for its other errors.
func (m *Message) Nack(ctx context.Context, delay time.Duration) error {
	switch {
	case delay < 0:
		return m.q.wrap("nack", invalid("a negative delay"))
	case delay == 0:
		err := m.giveBack(ctx, Nacked, append(m.forgetRetry(), m.countOps()...)...)
		if err == nil {
			m.returned()
		}
		return err
	}
	due := time.Now().Add(delay).UnixMilli()
	if m.Group != "" {
		later := gateway.OpPut(m.q.keys.retries+m.place, strconv.AppendInt(nil, due, 10))
		return m.giveBack(ctx, Nacked, append(m.countOps(), later)...)
	}
	r := m.record()
	later := gateway.OpPut(m.q.keys.dueKey(due, m.ID), r.encode())
	return m.settle(ctx, Nacked, len(m.Value), later)
}

// parseRetry reads the key that Nack with a delay puts for an item of a group. A time that this
// library cannot have written is over.
func parseRetry(kv gateway.KeyValue, deleted bool) (until int64) {
	until, err := strconv.ParseInt(string(kv.Value), 10, 64)
	if deleted || err != nil || until < 0 || until > maxTime {
		return 0
	}
	return until
}

// Reject moves the item to the dead letters. Returns [ErrTooLarge] when reason exceeds [MaxReason].
// See [Message] for its other errors.
func (m *Message) Reject(ctx context.Context, reason string) error {
	if len(reason) > MaxReason {
		return m.q.wrap("reject",
			tooLarge("a reason of %d bytes; %d are possible", len(reason), MaxReason))
	}
	return m.settle(ctx, Rejected, len(m.Value)+len(reason), m.burial(reason))
}

// release ends the claim.
func (m *Message) release(ctx context.Context, outcome Outcome, w core.ReleaseWrite) error {
	err := m.grip.ReleaseWith(ctx, w)
	if err == nil {
		m.q.opt.Hooks.ended(ctx, m, outcome)
		return nil
	}
	if errors.Is(err, session.ErrLost) { // else another call ends the claim, and its slot
		m.abandonSlot()
	}
	return m.q.wrap(string(outcome), err)
}

// giveBack ends the claim, leaves the item in its place, and applies ops.
func (m *Message) giveBack(ctx context.Context, outcome Outcome, ops ...gateway.Op) error {
	// The first operation changes nothing but, as any does, makes the release compare that the
	// claim is still this one.
	then := []gateway.Op{gateway.OpGet(m.q.keys.items+m.key(), gateway.CountOnly())}
	w := core.ReleaseWrite{Then: slices.Concat(then, m.slotOps(), ops), Weight: 1}
	return m.release(ctx, outcome, w)
}

// countOps counts an attempt that was not counted by the claim.
func (m *Message) countOps() []gateway.Op {
	if m.counted {
		return nil
	}
	return []gateway.Op{gateway.OpPut(m.q.keys.counts+m.place, nil)}
}

// returned notes that the item is in its place again. Its own process can receive it before the
// watch reports the end of the claim.
func (m *Message) returned() {
	m.cache.ended(m.place, m.Fence())
}

// settle removes the item and applies ops, together with others. size is the number of bytes that
// ops put.
func (m *Message) settle(ctx context.Context, outcome Outcome, size int, ops ...gateway.Op) error {
	w := core.ReleaseWrite{
		Then: append(m.forget(), ops...), Weight: 1 + size/core.WeightBytes, Deletes: m.keys(),
	}
	err := m.release(ctx, outcome, w)
	if err == nil {
		m.cache.settled(m.entry)
	}
	return err
}

// key is the part of the item's key behind the prefix.
func (m *Message) key() string { return itemKey(m.place, m.Group) }

// keys are those of the item: itself, and the counter of its claims.
func (m *Message) keys() []string {
	return []string{m.q.keys.items + m.key(), m.q.keys.counts + m.place}
}

// forget deletes the keys that there may be besides.
func (m *Message) forget() []gateway.Op {
	ops := append(m.forgetRetry(), m.slotOps()...)
	if m.claims > 2 { // else none can have been taken back
		ops = append(ops, gateway.OpDelete(m.q.keys.returns+m.place))
	}
	return ops
}

// forgetRetry deletes the time of the retry, which only an item with an earlier claim can have.
func (m *Message) forgetRetry() []gateway.Op {
	if m.Group == "" || m.claims < 2 {
		return nil
	}
	return []gateway.Op{gateway.OpDelete(m.q.keys.retries + m.place)}
}

// remove deletes all of the item.
func (m *Message) remove() []gateway.Op {
	ops := m.forget()
	for _, key := range m.keys() {
		ops = append(ops, gateway.OpDelete(key))
	}
	return ops
}

func (m *Message) record() record {
	return record{
		ID: m.ID, Enqueued: m.Enqueued.UnixMilli(), Attempts: m.Attempt, Priority: m.Priority,
		Group: m.Group, value: m.Value,
	}
}

func (m *Message) burial(reason string) gateway.Op {
	r := m.record()
	r.Reason, r.DeadAt = reason, time.Now().UnixMilli()
	return gateway.OpPut(m.q.keys.dead+m.ID, r.encode())
}

// drop moves an item that is not to be delivered to the dead letters.
func (m *Message) drop(ctx context.Context, reason string) error {
	err := m.grip.ReleaseWith(ctx, core.ReleaseWrite{Then: append(m.remove(), m.burial(reason))})
	if errors.Is(err, session.ErrNotHeld) && m.q.s.Err() == nil {
		m.abandonSlot()
		return nil // another client has deleted the claim
	}
	if err != nil {
		if errors.Is(err, gateway.ErrNoSpace) { // the claim must not stay meanwhile
			_ = line.GiveBack(ctx, m.grip, func(ctx context.Context) error {
				return m.giveBack(ctx, Requeued, m.forgetRetry()...)
			})
		}
		return fmt.Errorf("move to the dead letters: %w", err)
	}
	m.cache.settled(m.entry)
	m.q.opt.Hooks.ended(ctx, m, GivenUp)
	return nil
}
