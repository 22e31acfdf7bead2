package queue

import (
	"context"
	"sync"

	"github.com/holdfast-go/holdfast/internal/core"
)

// prefetch holds the claims of a Queue that were made ahead of its callers, in the order of the
// items. Such a claim does not count as an attempt until its message is delivered.
type prefetch struct {
	mu     sync.Mutex
	claims []*claim
	unlink func() bool // from the session, whose end drops the claims; set while there are claims
}

// next hands the first claim ahead to its caller, or else claims the first item of the cache. Then
// it claims ahead until there are as many claims as [Options].Prefetch.
//
//nolint:contextcheck // claims ahead are not for this caller
func (q *Queue) next(ctx context.Context, ic *itemCache, wait bool) state {
	p := &q.prefetch
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.claims) > 0 {
		st := state{claim: p.claims[0], due: ic.isDue()}
		p.set(q, p.claims[1:])
		if n := ic.available(); n > 0 && q.pace.mayClaim(n) == 0 {
			q.pace.claims(0, min(n, q.opt.Prefetch-len(p.claims)))
			q.claimAhead(ic)
		}
		return st
	}
	st := ic.next(q.beginClaims(ctx, ic, false), wait, q.pace)
	if st.claim != nil {
		q.claimAhead(ic)
	}
	return st
}

// claimAhead claims the items that are there, until there are as many claims as
// [Options].Prefetch. q.prefetch.mu is held.
func (q *Queue) claimAhead(ic *itemCache) {
	p := &q.prefetch
	for len(p.claims) < q.opt.Prefetch {
		c := ic.first(q.beginClaims(q.s.Context(), ic, true))
		if c == nil {
			break
		}
		p.set(q, append(p.claims, c))
	}
}

// claimedWaiting claims ahead after a caller that waited was given a claim.
func (q *Queue) claimedWaiting(ic *itemCache) {
	q.prefetch.mu.Lock()
	defer q.prefetch.mu.Unlock()
	q.claimAhead(ic)
}

// set replaces the claims. p.mu is held.
func (p *prefetch) set(q *Queue, claims []*claim) {
	before := len(p.claims)
	p.claims = claims
	switch {
	case before == 0 && len(claims) > 0:
		p.unlink = context.AfterFunc(q.s.Context(), q.dropAhead)
	case before > 0 && len(claims) == 0:
		p.unlink()
	}
}

// takeAhead removes all claims ahead and returns them.
func (q *Queue) takeAhead() []*claim {
	p := &q.prefetch
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.claims
	p.set(q, nil)
	return left
}

// dropAhead leaves the claims ahead to the end of the session, and their items to other sessions of
// the client, which share the cache.
func (q *Queue) dropAhead() {
	for _, c := range q.takeAhead() {
		c.cache.slotAnswered(c)
		c.cache.giveBack(c.entry)
	}
}

// releaseAhead gives back the items that were claimed ahead. The session continues with those that
// are left when ctx ends.
func (q *Queue) releaseAhead(ctx context.Context) {
	var all sync.WaitGroup
	for _, c := range q.takeAhead() { //nolint:contextcheck // sends nothing
		all.Go(func() { q.releaseClaim(ctx, c) })
	}
	all.Wait()
}

// releaseClaim gives back an item that was claimed ahead.
func (q *Queue) releaseClaim(ctx context.Context, c *claim) {
	out, err := c.pending.Wait(ctx)
	if err == nil {
		c.read(out)
	}
	c.cache.slotAnswered(c)
	if err != nil {
		c.cache.giveBack(c.entry)
		return
	}
	if c.fence == 0 {
		c.cache.lost(c)
		return
	}
	undo := q.unclaim(c)
	out, err = q.s.Write(ctx, core.Write{
		Then: undo(), Weight: 1, Compensation: undo, CompleteOnCancel: true,
	})
	if err == nil && out.Responses[0].Txn.Succeeded {
		c.cache.returned(c.entry, c.fence)
	} else {
		c.cache.giveBack(c.entry)
	}
}
