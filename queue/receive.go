package queue

import (
	"context"
	"iter"
	"math"
	"time"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Receive waits for the first item that nobody has claimed, and claims it. When it fails, because ctx ended or the session
// was lost, nothing is claimed, or what was is given back in the background.
func (q *Queue) Receive(ctx context.Context) (*Message, error) {
	m, err := q.receive(ctx, true)
	if err != nil {
		return nil, q.wrap("receive", err)
	}
	return m, nil
}

// TryReceive claims the first item that nobody has claimed, and is ErrEmpty if there is none, or if the queue is paused. An
// item may come back when the consumer that has it, or has claimed it ahead, gives it back.
func (q *Queue) TryReceive(ctx context.Context) (*Message, error) {
	m, err := q.receive(ctx, false)
	if err != nil {
		return nil, q.wrap("try receive", err)
	}
	return m, nil
}

// Messages receives until ctx ends or something fails, which the last pair tells. Each message must be ended by the loop.
func (q *Queue) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			m, err := q.Receive(ctx)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

func (q *Queue) receive(ctx context.Context, wait bool) (*Message, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	if err := q.s.Ready(ctx); err != nil {
		return nil, err
	}
	f := q.openFeed()
	defer f.release()
	ctx, cancel := q.bound(ctx)
	defer cancel()
	q.asked()
	for fresh := false; ; {
		if ctx.Err() != nil {
			return nil, q.whyEnded(ctx, ctxerr.Of(ctx))
		}
		m, err := (*Message)(nil), error(nil)
		switch st := q.next(ctx, f, wait); {
		case st.stale:
			err = f.sync(ctx, false)
		case st.due:
			err = q.moveDue(ctx, f)
		case st.claim != nil:
			m, err = q.finish(ctx, st.claim)
		case st.more:
			err = f.extend(ctx)
		case st.waiter != nil:
			m, err = q.await(ctx, f, st)
		case fresh:
			return nil, ErrEmpty
		default:
			fresh = true
			err = f.sync(ctx, true)
		}
		if err != nil {
			return nil, q.whyEnded(ctx, err)
		}
		if m != nil {
			return m, nil
		}
	}
}

// await waits to be given an item, and claims it; or until it is time to look again.
func (q *Queue) await(ctx context.Context, f *feed, st state) (*Message, error) {
	due := time.Duration(math.MaxInt64)
	if st.next != 0 {
		due = time.Until(toTime(st.next))
	}
	t := time.NewTimer(due)
	defer t.Stop()
	var c *claim
	select {
	case c = <-st.waiter.given:
	case <-t.C:
		c = f.leave(st.waiter)
	case <-ctx.Done():
		c = f.leave(st.waiter)
	}
	if c == nil {
		return nil, nil
	}
	return q.finish(ctx, c)
}
