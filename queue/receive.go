package queue

import (
	"context"
	"iter"
	"math"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Receive waits for the first unclaimed item and claims it. If it fails, it has claimed no item, or
// gives the item back in the background.
//
// Returns ctx's error when ctx ends, [session.ErrLost] when the session ends, and
// [gateway.ErrNoSpace] when etcd's database is full.
func (q *Queue) Receive(ctx context.Context) (*Message, error) {
	m, err := q.receive(ctx, true)
	if err != nil {
		return nil, q.wrap("receive", err)
	}
	return m, nil
}

// TryReceive claims the first unclaimed item. Returns [ErrEmpty] when there is none, all wait for
// others of their group, MaxInFlight items are claimed, or the queue is paused, and else the errors
// of [Queue.Receive]. After ErrEmpty an item can become available again
// without an enqueue, because a consumer can give back an item that it received or claimed ahead.
func (q *Queue) TryReceive(ctx context.Context) (*Message, error) {
	m, err := q.receive(ctx, false)
	if err != nil {
		return nil, q.wrap("try receive", err)
	}
	return m, nil
}

// Messages yields the messages that [Queue.Receive] returns, until Receive fails. The last pair
// holds its error. The loop must end each message.
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
	ic := q.openCache()
	defer ic.release()
	for fresh := false; ; {
		if err := q.closed(ctx); err != nil {
			ic.pass() // this may be the one that was told to read on
			return nil, err
		}
		q.deleteUnleased(ic) //nolint:contextcheck // in the background
		q.storeGaps(ic, false)
		st, err := q.next(ctx, ic, wait), error(nil)
		if st.claim == nil {
			core.Unexpect(q.s)
		}
		switch {
		case st.claim != nil:
		case st.waiter != nil:
			if st.claim = q.await(ctx, ic, st); st.claim != nil && q.opt.Prefetch > 0 {
				q.claimedWaiting(ic) //nolint:contextcheck // claims ahead are not for this caller
			}
		case fresh && st.empty():
			q.storeGaps(ic, true)
			return nil, ErrEmpty
		default:
			fresh = st.empty() || fresh && !st.due // what was moved may not be known yet
			err = q.advance(ctx, ic, st)
		}
		var m *Message
		if st.claim != nil {
			if st.due {
				q.moveDueLater(ic)
			}
			m, err = q.finish(ctx, st.claim)
		}
		if err != nil {
			return nil, q.whyEnded(err)
		}
		if m != nil {
			return m, nil
		}
	}
}

// closed returns why nothing is received any more, or nil.
func (q *Queue) closed(ctx context.Context) error {
	if err := q.s.Err(); err != nil || ctx.Err() == nil {
		return err
	}
	return ctxerr.Of(ctx)
}

// advance does what has to be done before there can be another answer.
func (q *Queue) advance(ctx context.Context, ic *itemCache, st state) error {
	ctx, cancel := q.s.Bound(ctx)
	defer cancel()
	switch {
	case st.stale:
	case st.more:
		return ic.extend(ctx)
	case st.due:
		return q.moveDue(ctx, ic)
	}
	return ic.sync(ctx, st.empty())
}

// idleWait is how long a consumer waits until the gaps are stored for others that come, and the
// next delayed item is looked for.
const idleWait = time.Second

// await waits to be given an item; or until it is time to look again.
func (q *Queue) await(ctx context.Context, ic *itemCache, st state) *claim {
	due := time.Duration(math.MaxInt64)
	if st.next != 0 {
		due = time.Until(time.UnixMilli(st.next))
	}
	t := time.NewTimer(due)
	defer t.Stop()
	idle := time.NewTimer(idleWait)
	defer idle.Stop()
	for {
		select {
		case c := <-st.waiter.given:
			return c
		case <-idle.C:
			q.storeGaps(ic, true)
			q.findDueLater(ic)
			continue
		case <-t.C:
		case <-ctx.Done():
		case <-q.s.Context().Done():
		}
		return ic.leave(st.waiter)
	}
}
