package queue_test

import (
	"errors"
	"testing"

	"github.com/holdfast-go/holdfast/queue"
)

// noWait: a full queue returns ErrFull at once. Of several items, the first are put as far as there
// is room.
func noWait(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, &queue.Options{MaxLength: 2})
	now := &queue.EnqueueOptions{NoWait: true}
	enqueue(t, q, now, "1")
	ids, err := q.EnqueueAll(within(t, patience), [][]byte{{'2'}, {'3'}, {'4'}}, now)
	if !errors.Is(err, queue.ErrFull) || len(ids) != 1 {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := q.Enqueue(within(t, patience), nil, now); !errors.Is(err, queue.ErrFull) {
		t.Error(err)
	}
	ack(t, receive(t, q, "1", 1))
	enqueue(t, q, now, "3")
}
