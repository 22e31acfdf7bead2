package queue

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/session"
)

// ahead is what a Queue claims in the transaction that ends a message, for the Receive that is likely to follow: a
// consumer in a loop then waits for one transaction for each item, not for two.
type ahead struct {
	mu      sync.Mutex
	claims  []*claim
	timer   *time.Timer // runs while there are claims
	ended   time.Time   // when a message was ended last
	follows bool        // the last Receive came right after that
}

const (
	rightAfter = 500 * time.Microsecond
	keepAhead  = 10 * time.Millisecond // what no Receive has come for by then is given back
)

// claimAhead begins to claim the next item, if a Receive is likely to come for it.
func (q *Queue) claimAhead() {
	a := &q.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.follows {
		return
	}
	f := q.openFeed()
	defer f.release()
	e := f.first()
	if e == nil {
		return
	}
	if len(a.claims) == 0 {
		a.timer = time.AfterFunc(keepAhead, q.giveUpAhead)
	}
	a.claims = append(a.claims, q.begin(f, e))
}

// endedOne notes that a message was ended.
func (q *Queue) endedOne() {
	q.ahead.mu.Lock()
	defer q.ahead.mu.Unlock()
	q.ahead.ended = time.Now()
}

// takeAhead gives a Receive what was claimed for it, or nil.
func (q *Queue) takeAhead() *claim {
	a := &q.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	a.follows = time.Since(a.ended) < rightAfter
	if len(a.claims) == 0 {
		return nil
	}
	c := a.claims[0]
	if a.claims = a.claims[1:]; len(a.claims) == 0 {
		a.timer.Stop()
	}
	return c
}

// leaveAhead gives what nobody has taken to somebody who gives it back.
func (q *Queue) leaveAhead() []*claim {
	a := &q.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	claims := a.claims
	a.claims, a.follows = nil, false
	return claims
}

func (q *Queue) giveUpAhead() {
	for _, c := range q.leaveAhead() {
		q.abandon(c)
	}
}

// returnAhead gives back what nobody has taken, and waits until that is done, since the session may be closed next.
func (q *Queue) returnAhead(ctx context.Context) {
	var all sync.WaitGroup
	for _, c := range q.leaveAhead() {
		all.Go(func() {
			defer c.feed.giveBack(c.entry)
			out, err := c.pending.Wait(ctx)
			if err != nil {
				return
			}
			if c.read(out); c.fence != 0 {
				back := session.Write{Then: q.unclaim(c), Undo: q.unclaim(c), Insist: true}
				_, _ = q.s.WriteTogether(ctx, back, 1) // what fails goes on in the background
			}
		})
	}
	all.Wait()
}
