package queue

import (
	"context"
	"time"
)

// Hooks are functions that a [Queue] calls, for metrics. Each may be nil. A hook runs in the
// goroutine of the call that it reports, which waits for it. It must not panic, and must not end
// the message.
type Hooks struct {
	// Enqueued is called when an enqueue has added items, with their number, also if it then failed.
	Enqueued func(ctx context.Context, items int)
	// Delivered is called before a message is returned. waited is the time since the item was
	// enqueued, by the clocks of the producer and of this process.
	Delivered func(ctx context.Context, m *Message, waited time.Duration)
	// Ended is called when a call has ended a message, with the time since it was delivered. It is
	// not called for a message that was lost, or whose end the session continues in the background.
	Ended func(ctx context.Context, m *Message, outcome Outcome, took time.Duration)
}

// Outcome says how a message ended.
type Outcome string

// The outcomes of a message.
const (
	Acked    Outcome = "ack"
	Nacked   Outcome = "nack"
	Requeued Outcome = "requeue"
	Rejected Outcome = "reject"
	// GivenUp is the outcome of an item that became a dead letter instead of being delivered,
	// because its attempts were over, or because this library did not write it. The time is 0.
	GivenUp Outcome = "give up"
)

func (h *Hooks) enqueued(ctx context.Context, items int) {
	if h.Enqueued != nil && items > 0 {
		h.Enqueued(ctx, items)
	}
}

func (h *Hooks) delivered(ctx context.Context, m *Message) {
	m.delivered = time.Now()
	if h.Delivered != nil {
		h.Delivered(ctx, m, max(m.delivered.Sub(m.Enqueued), 0))
	}
}

func (h *Hooks) ended(ctx context.Context, m *Message, outcome Outcome) {
	if h.Ended == nil {
		return
	}
	took := time.Duration(0)
	if !m.delivered.IsZero() {
		took = time.Since(m.delivered)
	}
	h.Ended(ctx, m, outcome, took)
}
