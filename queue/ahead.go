package queue

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/session"
)

// ahead is what a Queue claims in the transactions that end messages, for the Receives that are likely to follow: a
// consumer in a loop then waits for one transaction for each item, not for two.
type ahead struct {
	mu      sync.Mutex
	claims  []*claim // that nobody has taken
	open    int      // those, and the ones that were taken and are not answered
	timer   *time.Timer
	going   map[chan struct{}]bool // each closed when some have been given back
	ended   time.Time              // when a message was ended last
	follows bool                   // the last Receive came right after that
	more    int                    // how many Consume could deal with besides, in half of keepAhead
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
	n := max(1, a.more-a.open)
	if !a.follows && a.more == 0 {
		return
	}
	f := q.openFeed()
	defer f.release()
	for range n {
		e := f.first()
		if e == nil {
			return
		}
		if len(a.claims) == 0 {
			a.timer = time.AfterFunc(keepAhead, q.giveUpAhead)
		}
		a.claims = append(a.claims, q.begin(f, e))
		a.open++
	}
}

// expectMore tells that so many consumers take so long for an item, and will come for the next at once.
func (q *Queue) expectMore(consumers int, took time.Duration) {
	n := int(keepAhead / 2 * time.Duration(consumers) / max(took, 1))
	q.ahead.mu.Lock()
	defer q.ahead.mu.Unlock()
	q.ahead.more = min(n, maxAhead)
}

// endedOne notes that a message was ended.
func (q *Queue) endedOne() {
	q.ahead.mu.Lock()
	defer q.ahead.mu.Unlock()
	q.ahead.ended = time.Now()
}

// takeAhead gives a Receive what was claimed for it, or nil. It must call done once that is answered.
func (q *Queue) takeAhead() (c *claim, done func()) {
	a := &q.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	a.follows = time.Since(a.ended) < rightAfter
	if len(a.claims) == 0 {
		return nil, nil
	}
	c = a.claims[0]
	if a.claims = a.claims[1:]; len(a.claims) == 0 {
		a.timer.Stop()
	}
	return c, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.open--
	}
}

// giveUpAhead gives back what nobody has taken for long enough since it was answered.
func (q *Queue) giveUpAhead() {
	q.leaveAhead(func(c *claim) bool {
		was := c.ripe
		c.ripe = c.pending.Answered() || q.s.Context().Err() != nil
		return was
	})
}

// leaveAhead gives back, in the background, what nobody has taken and may leave.
func (q *Queue) leaveAhead(may func(c *claim) bool) {
	a := &q.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	var left, rest []*claim
	for _, c := range a.claims {
		if may(c) {
			left = append(left, c)
		} else {
			rest = append(rest, c)
		}
	}
	a.claims, a.open = rest, a.open-len(left)
	if len(rest) > 0 {
		a.timer.Reset(keepAhead)
	}
	if len(left) == 0 {
		return
	}
	a.follows, a.more = false, 0
	done := make(chan struct{})
	if a.going == nil {
		a.going = map[chan struct{}]bool{}
	}
	a.going[done] = true
	started := q.s.Background(func(ctx context.Context) {
		var all sync.WaitGroup
		for _, c := range left {
			all.Go(func() { q.giveBack(ctx, c) })
		}
		all.Wait()
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.going, done)
		close(done)
	})
	if !started { // with the session
		delete(a.going, done)
	}
}

// giveBack takes back a claim that no message was made of.
func (q *Queue) giveBack(ctx context.Context, c *claim) {
	defer c.feed.giveBack(c.entry)
	out, err := c.pending.Wait(ctx)
	if err != nil {
		return
	}
	if c.read(out); c.fence != 0 {
		_, _ = q.s.WriteTogether(ctx, session.Write{Then: q.unclaim(c), Undo: q.unclaim(c), Insist: true}, 1)
	}
}

// returnAhead gives back all that nobody has taken, and waits until that is done, since the session may be closed next.
func (q *Queue) returnAhead(ctx context.Context) {
	q.leaveAhead(func(*claim) bool { return true })
	q.ahead.mu.Lock()
	going := slices.Collect(maps.Keys(q.ahead.going))
	q.ahead.mu.Unlock()
	for _, done := range going {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
}
