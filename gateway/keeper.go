package gateway

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// keeper renews all leases that a client keeps. One goroutine decides what is due; what is due together goes out in one
// request. It runs only while there are leases.
type keeper struct {
	c *Client

	mu      sync.Mutex
	leases  map[LeaseID]*kept
	running bool
	wake    chan struct{} // something changed: look again
}

type kept struct {
	LeaseGrant
	fn     func(LeaseGrant)
	due    time.Time
	asked  int  // tries since the last answer
	flying bool // a request for it is under way
}

// A renewal is due a third of the time to live after the last one was sent. Leases that come due soon after join the
// request, so that the leases of a process fall into step.
func (k *kept) interval() time.Duration { return k.TTL / 3 }

// patience bounds one try, so that several fit into what is left of the lease.
func (k *kept) patience() time.Duration {
	if k.TTL <= 0 { // not known yet
		return time.Second
	}
	return min(k.TTL/3, 2*time.Second)
}

// renewalChunk bounds one request: the leases in it are renewed one after another.
const renewalChunk = 500

func newKeeper(c *Client) *keeper {
	return &keeper{c: c, leases: map[LeaseID]*kept{}, wake: make(chan struct{}, 1)}
}

// Keep renews a lease every third of its time to live, for ever, at whichever endpoint answers. All leases that a
// client keeps share requests. fn gets every answer, from one goroutine or another; it must not block, and an older
// answer may come after a newer one. An answer with a TTL of 0 says that the lease is gone, and is the last. A call of fn
// may be under way when stop returns.
func (c *Client) Keep(g LeaseGrant, fn func(LeaseGrant)) (stop func()) {
	k := c.keep
	l := &kept{LeaseGrant: g, fn: fn}
	l.due = g.Sent.Add(l.interval())
	k.mu.Lock()
	k.leases[g.ID] = l
	start := !k.running
	k.running = true
	k.mu.Unlock()
	if start && !c.spawn(k.run) {
		k.mu.Lock()
		k.running = false
		k.mu.Unlock()
	}
	k.signal()
	return func() { k.forget(l) }
}

func (k *keeper) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) forget(l *kept) {
	k.mu.Lock()
	if k.leases[l.ID] == l {
		delete(k.leases, l.ID)
	}
	k.mu.Unlock()
	k.signal()
}

func (k *keeper) run() {
	var flights sync.WaitGroup
	defer flights.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		batch, next, done := k.take(time.Now())
		if done {
			return
		}
		for chunk := range slices.Chunk(batch, renewalChunk) {
			flights.Go(func() { k.renew(chunk) })
		}
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-k.wake:
		case <-k.c.ctx.Done():
			return
		}
	}
}

// take picks the leases to renew now, those that have been asked for in vain last, and tells when to look again.
func (k *keeper) take(now time.Time) (batch []*kept, next time.Time, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.leases) == 0 {
		k.running = false
		return nil, now, true
	}
	next = now.Add(time.Hour)
	urgent := false
	for _, l := range k.leases {
		if l.flying {
			continue
		}
		urgent = urgent || !l.due.After(now)
		if l.due.Before(next) {
			next = l.due
		}
	}
	if !urgent {
		return nil, next, false
	}
	next = now.Add(time.Hour)
	for _, l := range k.leases {
		switch {
		case l.flying:
		case !l.due.Add(-l.interval() / 4).After(now):
			l.flying = true
			batch = append(batch, l)
		case l.due.Before(next):
			next = l.due
		}
	}
	slices.SortFunc(batch, func(a, b *kept) int {
		return cmp.Or(cmp.Compare(a.asked, b.asked), a.due.Compare(b.due), cmp.Compare(a.ID, b.ID))
	})
	return batch, next, false
}

// renew sends one request for a chunk. What it leaves unanswered is due again at once, at another endpoint.
func (k *keeper) renew(chunk []*kept) {
	byID := make(map[LeaseID]*kept, len(chunk))
	ids := make([]LeaseID, len(chunk))
	patience := chunk[0].patience()
	for i, l := range chunk {
		byID[l.ID], ids[i] = l, l.ID
		patience = min(patience, l.patience())
	}
	sent := time.Now()
	var answers []LeaseGrant
	r := k.c.renewal(ids, func(g LeaseGrant) { answers = append(answers, g) })
	r.timeout = patience
	err := k.c.once(r)
	if r.sent.After(sent) {
		sent = r.sent
	}

	var calls []func()
	k.mu.Lock()
	for _, g := range answers {
		g.Sent = sent
		l := byID[g.ID]
		if l == nil {
			continue // not asked for, or answered twice
		}
		delete(byID, g.ID)
		l.flying, l.asked, l.TTL, l.Sent = false, 0, g.TTL, sent
		l.due = sent.Add(l.interval())
		if k.leases[g.ID] != l {
			continue // not kept any more, or by somebody else
		}
		if g.TTL <= 0 {
			delete(k.leases, g.ID)
		}
		calls = append(calls, func() { l.fn(g) })
	}
	now := time.Now()
	e, ok := errors.AsType[*Error](err)
	refused := ok && e.Code != 0 && !e.elsewhere() && !e.aboutToken()
	for _, l := range chunk {
		if byID[l.ID] == nil {
			continue
		}
		l.flying = false
		l.asked++
		if refused { // such an error ends the list of answers: it may be this lease's own, and must not hold up the rest again
			l.asked++
			refused = false
		}
		// At once after the first failure, then a few times a second: short of the time to live every try counts.
		l.due = now.Add(min(time.Duration(l.asked-1)*50*time.Millisecond, 300*time.Millisecond))
	}
	k.mu.Unlock()
	if err != nil {
		k.c.log.Debug("renewal_failed", "leases", len(chunk), "answered", len(answers), "err", err)
	}
	for _, fn := range calls {
		fn()
	}
	k.signal()
}

// once is do with a single attempt, for calls that have a clock and a way of retrying of their own. A log-in before it has
// its own time.
func (c *Client) once(r *call) error {
	ctx, cancel := context.WithTimeout(c.ctx, loginTime)
	token, err := c.auth.tokenFor(ctx, r)
	cancel()
	if err != nil {
		return err
	}
	ep := c.eps.pick()
	e := c.attempt(c.ctx, ep, r, token, r.timeout)
	switch {
	case e == nil:
		return nil
	case e.aboutToken() && c.auth.enabled():
		c.auth.drop(token)
	case c.auth.refusedWordlessly(token, e):
	case c.ctx.Err() == nil && (e.elsewhere() || !e.refused() || errors.As(e, new(setupError))):
		c.eps.failed(ep, e)
	}
	return e
}
