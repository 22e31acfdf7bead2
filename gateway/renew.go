package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/internal/clock"
)

// renew sends one request for a chunk, if possible not to the endpoint to avoid. Leases without an
// answer are due again at once, at another endpoint.
func (k *keeper) renew(chunk []*kept, avoid *endpoint) {
	ids := make([]LeaseID, len(chunk))
	patience := chunk[0].patience()
	for i, l := range chunk {
		ids[i] = l.ID
		patience = min(patience, l.patience())
	}
	sent := clock.Now()
	answers := make([]LeaseGrant, 0, len(ids))
	r := k.c.renewal(ids, func(g LeaseGrant) { answers = append(answers, g) })
	r.timeout, r.avoid = patience, avoid
	ep, err := k.c.once(r)
	if r.sent.After(sent.Time) {
		sent = r.sent
	}
	for i := range answers {
		answers[i] = answers[i].at(sent)
	}
	doubted := k.answered(chunk, answers, err)
	if err != nil {
		k.c.note(func() {
			k.c.log.Debug("renewal_failed",
				"leases", len(chunk), "answered", len(answers), "err", err)
		})
	}
	k.signal()
	if len(doubted) > 0 {
		k.c.pauseAtTheOnly(k.c.ctx)
		k.renew(doubted, ep)
	}
}

// answered handles the answers to a request. It returns the leases that are gone according to a
// first answer, which stay in flight, because a second answer has to confirm it.
func (k *keeper) answered(chunk []*kept, answers []LeaseGrant, err error) (doubted []*kept) {
	open := make(map[LeaseID]*kept, len(chunk))
	for _, l := range chunk {
		open[l.ID] = l
	}
	now := clock.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, g := range answers {
		l := open[g.ID]
		if l == nil {
			continue // not requested, or answered twice
		}
		delete(open, g.ID)
		kept := k.leases[g.ID] == l // or not any more, or by another KeepAlive
		if kept && g.TTL <= 0 && !l.gone {
			l.gone = true
			doubted = append(doubted, l)
			continue
		}
		if l.most > 0 {
			g.TTL = min(g.TTL, l.most)
		}
		l.LeaseGrant, l.flying, l.asked, l.gone = g, false, 0, false
		l.schedule(now)
		if !kept {
			continue
		}
		if g.TTL <= 0 {
			delete(k.leases, g.ID)
		}
		k.report(l, g)
	}
	e, ok := errors.AsType[*Error](err)
	refused := ok && e.Code != 0 && !e.elsewhere() && !e.aboutToken()
	for _, l := range chunk {
		if open[l.ID] == nil {
			continue
		}
		l.flying = false
		l.asked++
		// Such an error ends the list of answers. It may be about this lease alone, which must not
		// delay the rest again.
		if refused {
			l.asked++
			refused = false
		}
		// At once after the first failure, then a few times a second, because each attempt counts
		// before the lease expires.
		l.due = now.Add(min(time.Duration(l.asked-1)*50*time.Millisecond, 300*time.Millisecond))
	}
	return doubted
}

// once is do with a single attempt, for calls that have a clock and retries of their own. It
// returns the endpoint. A log-in before it has its own time.
func (c *Client) once(r *call) (*endpoint, error) {
	ctx, cancel := context.WithTimeout(c.ctx, loginTime)
	token, err := c.auth.tokenFor(ctx, r)
	cancel()
	if err != nil {
		return nil, err
	}
	ep := c.eps.pickOther(r.avoid)
	e := c.attemptNoted(c.ctx, ep, r, token, r.timeout)
	switch {
	case e == nil:
		return ep, nil
	case e.aboutToken() && c.auth.enabled():
		c.auth.drop(token)
	case c.auth.refusedWordlessly(token, e):
	case c.ctx.Err() == nil && (e.elsewhere() || !e.refused() || errors.As(e, new(setupError))):
		c.eps.failed(ep, e)
	}
	return ep, e
}
