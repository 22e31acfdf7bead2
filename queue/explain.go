package queue

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/session"
)

// Explain returns why a Receive of this session waits, or would wait: the queue is paused, it has
// no items, or all of them are claimed or delayed. It reads etcd when it is called, also after the
// session has ended. Returns the errors of [Queue.Stats].
func (q *Queue) Explain(ctx context.Context) (*session.Explanation, error) {
	n, err := q.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("queue: explain %q: %w", q.name, err)
	}
	out := &session.Explanation{Revision: n.Revision}
	if n.Paused {
		out.Needs = append(out.Needs, "the queue is paused and has to be resumed")
	}
	if n.Ready <= 0 {
		out.Needs = append(out.Needs, fmt.Sprintf("an item has to become ready: none is, %d are "+
			"claimed by consumers and %d are delayed", n.Claimed, n.Delayed))
	}
	return out, nil
}
