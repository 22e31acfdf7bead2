package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
)

// prefetch is what a Queue claims in the transactions that end messages, for the Receives that are
// likely to follow: a consumer in a loop then waits for one transaction for each item, not for two.
type prefetch struct {
	mu      sync.Mutex
	claims  []*claim      // that nobody has taken
	open    int           // those, and the ones that were taken and are not answered
	ending  int           // messages that are being ended
	timer   *time.Timer   // calls giveUpAhead, while there are claims
	unlink  func() bool   // from the session, whose end calls it, too
	going   chan struct{} // closed when what is being given back has been; nil if nothing is
	ended   time.Time     // when a message was ended last
	follows bool          // the last Receive came right after that
	more    int           // how many Consume could deal with besides, in half of keepAhead
}

const (
	rightAfter = 500 * time.Microsecond
	keepAhead  = 10 * time.Millisecond // what no Receive comes for is given back after this, or twice this
	maxAhead   = 16
)

// claimAhead begins to claim the next item, or several, if Receives are likely to come for them.
func (q *Queue) claimAhead() {
	a := &q.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ending++
	// One for each who will come when it has ended its message. Nobody knows who took the one of
	// whom, so there may be fewer, and somebody would wait for two transactions for each item, or
	// more.
	n := max(a.ending-len(a.claims), a.more-a.open)
	if !a.follows && a.more == 0 || a.going != nil || q.opt.MaxAttempts > 0 { // a crash would count for what nobody got
		return
	}
	f := q.openFeed()
	defer f.release()
	for range n {
		c := f.first(q.claimFunc(q.s.Context(), f))
		if c == nil {
			return
		}
		c.ahead = true
		if len(a.claims) == 0 {
			a.timer = time.AfterFunc(keepAhead, q.giveUpAhead)
			a.unlink = context.AfterFunc(q.s.Context(), q.giveUpAhead)
		}
		a.claims = append(a.claims, c)
		a.open++
	}
}

// expectMore tells that so many consumers take so long for an item, and will come for the next at
// once.
func (q *Queue) expectMore(consumers int, took time.Duration) {
	n := int(keepAhead / 2 * time.Duration(consumers) / max(took, 1))
	q.ahead.mu.Lock()
	defer q.ahead.mu.Unlock()
	q.ahead.more = min(n, maxAhead)
}

// endedOne notes that a message was ended, of those that something may have been claimed ahead for.
func (q *Queue) endedOne(n int) {
	q.ahead.mu.Lock()
	defer q.ahead.mu.Unlock()
	q.ahead.ended = time.Now()
	q.ahead.ending -= n
}

// asked notes that a Receive has come.
func (q *Queue) asked() {
	q.ahead.mu.Lock()
	defer q.ahead.mu.Unlock()
	q.ahead.follows = time.Since(q.ahead.ended) < rightAfter
}

// next gives what was claimed ahead, or else the first item of the feed. Both under one lock, and
// not while something that was claimed ahead is being given back: what is first in the queue is to
// be received first.
func (q *Queue) next(ctx context.Context, f *itemCache, wait bool) state {
	a := &q.ahead
	a.awaitReturns(ctx)
	defer a.mu.Unlock()
	if len(a.claims) == 0 {
		return f.next(q.claimFunc(ctx, f), wait)
	}
	c := a.claims[0]
	if a.claims = a.claims[1:]; len(a.claims) == 0 {
		a.rest()
	}
	return state{claim: c, due: f.isDue()}
}

// rest is for when there are no claims.
func (a *prefetch) rest() {
	a.timer.Stop()
	a.unlink()
}

// awaitReturns waits until nothing is being given back, or ctx ends, and locks.
func (a *prefetch) awaitReturns(ctx context.Context) {
	for a.mu.Lock(); a.going != nil && ctx.Err() == nil; a.mu.Lock() {
		going := a.going
		a.mu.Unlock()
		select {
		case <-going:
		case <-ctx.Done():
		}
	}
}

// finishedAhead notes that what was claimed ahead has been taken and answered.
func (q *Queue) finishedAhead(c *claim) {
	if !c.ahead {
		return
	}
	q.ahead.mu.Lock()
	defer q.ahead.mu.Unlock()
	q.ahead.open--
}

// giveUpAhead gives all back once nobody has come for the first for long enough since it was
// answered. The others were claimed after it, and must not be received before it.
func (q *Queue) giveUpAhead() {
	a := &q.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.claims) == 0 {
		return
	}
	c := a.claims[0]
	if c.ripe || q.s.Context().Err() != nil {
		q.leaveAhead()
		return
	}
	c.ripe = c.pending.Answered()
	a.timer.Reset(keepAhead)
}

// leaveAhead gives back, in the background, what nobody has taken. ahead is locked.
func (q *Queue) leaveAhead() {
	a := &q.ahead
	left := a.claims
	a.claims, a.open = nil, a.open-len(left)
	if len(left) == 0 {
		return
	}
	a.rest()
	a.follows, a.more = false, 0
	going := make(chan struct{})
	started := q.s.Background(func(ctx context.Context) {
		var all sync.WaitGroup
		for _, c := range left {
			all.Go(func() { q.release(ctx, c) })
		}
		all.Wait()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.going = nil
		close(going)
	})
	if !started { // they go with the session, and are there for others of this process then
		for _, c := range left {
			c.feed.giveBack(c.entry)
		}
		return
	}
	a.going = going
}

// release takes back a claim that no message was made of.
func (q *Queue) release(ctx context.Context, c *claim) {
	out, err := c.pending.Wait(ctx)
	if err != nil {
		c.feed.giveBack(c.entry)
		return
	}
	if c.read(out); c.fence == 0 {
		c.feed.lost(c.entry, c.gone, c.other)
		return
	}
	undo := q.unclaim(c)
	out, err = q.s.Write(ctx, core.Write{
		Then: undo(), Weight: 1,
		Compensation: undo, Lean: q.unclaimLean(c), CompleteOnCancel: true,
	})
	if err == nil && out.Responses[0].Txn.Succeeded {
		c.feed.returned(c.entry, c.fence)
	} else {
		c.feed.giveBack(c.entry)
	}
}

// yieldAhead calls again, which makes a place one that can be had again, and gives back what is
// behind it.
func (q *Queue) yieldAhead(place string, again func()) {
	q.ahead.mu.Lock()
	defer q.ahead.mu.Unlock()
	again()
	if slices.ContainsFunc(q.ahead.claims, func(c *claim) bool { return place < c.entry.place }) {
		q.leaveAhead()
	}
}

// returnAhead gives back all that nobody has taken, and waits until that is done, since the session
// may be closed next.
func (q *Queue) returnAhead(ctx context.Context) {
	q.ahead.mu.Lock()
	q.leaveAhead()
	q.ahead.mu.Unlock()
	q.ahead.awaitReturns(ctx)
	q.ahead.mu.Unlock()
}
