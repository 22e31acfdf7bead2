package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// slowPace is the rest between two items of the slow queue.
const slowPace = 800 * time.Millisecond

func (w *worker) produces(place string, q *queue.Queue) {
	pause := 4 * pace
	if place == Slow {
		pause = slowPace
	}
	for w.rest(pause) {
		ctx, cancel := w.patience(16)
		op := w.begin(place, history.Enqueue, nil)
		value := op.Token()
		w.rec.Amend(op, func(o *history.Op) { o.Value = value })
		var opts *queue.EnqueueOptions
		if place == Grouped {
			opts = &queue.EnqueueOptions{Group: fmt.Sprint("customer/", rand.N(Groups))}
		}
		_, err := q.Enqueue(ctx, []byte(value), opts)
		cancel()
		w.rec.End(op, outcome(err), err, nil)
	}
}

func (w *worker) consumes(place string, q *queue.Queue) {
	for w.ctx.Err() == nil {
		op := w.begin(place, history.Receive, nil)
		m, err := q.Receive(w.ctx)
		w.rec.End(op, got(err), err, func(o *history.Op) {
			if err == nil {
				o.Key, o.Fence, o.Value, o.Attempt = m.Key(), m.Fence(), string(m.Value), m.Attempt
			}
		})
		if err != nil {
			w.rest(pace)
			continue
		}
		w.works(place, m)
	}
}

// works acknowledges an item. Now and then it rejects the first attempt with Nack, with a delay if
// the item has a group, because it then keeps its place.
func (w *worker) works(place string, m *queue.Message) {
	defer w.watchLoss(place, m)()
	w.rest(pace / 5)
	ctx, cancel := w.finish()
	defer cancel()
	verb := history.Ack
	if m.Attempt == 1 && rand.N(20) == 0 {
		verb = history.Nack
	}
	op := w.begin(place, verb, func(o *history.Op) {
		o.Key, o.Fence, o.Value = m.Key(), m.Fence(), string(m.Value)
	})
	var err error
	if verb == history.Ack {
		err = m.AckWith(ctx, gateway.OpPut(history.DoneKey(place, string(m.Value)), nil))
	} else {
		delay := time.Duration(0)
		if m.Group != "" {
			delay = rand.N(100 * time.Millisecond)
		}
		err = m.Nack(ctx, delay)
	}
	w.rec.End(op, outcome(err), err, nil)
}

// guarded sends a write under the guard of a hold with the client. The session would not send it
// after a loss, and the test needs the server's answer.
func (w *worker) guarded(place string, h session.Hold) {
	valid := h.Err() == nil
	verb := history.Write
	if !valid {
		verb = history.Stale
	}
	op := w.begin(place, verb, func(o *history.Op) {
		o.Key, o.Fence, o.Valid = h.Key(), h.Fence(), valid
	})
	ctx, cancel := w.finish()
	defer cancel()
	resp, err := w.client.Txn(ctx, gateway.Txn{
		If: []gateway.Cmp{h.Guard()},
		Then: []gateway.Op{gateway.OpPut(history.ValueKey(place),
			[]byte(history.Guarded(h.Fence(), op.Token())))},
	})
	result := outcome(err)
	if err == nil && !resp.Succeeded {
		result = history.Refused
	}
	w.rec.End(op, result, err, nil)
}
