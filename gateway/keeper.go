package gateway

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/internal/clock"
)

// keeper renews all leases that a client keeps alive. One goroutine decides which are due, and
// renews them in one request. It runs only while there are leases.
type keeper struct {
	c *Client

	mu      sync.Mutex
	leases  map[LeaseID]*kept
	looked  clock.Instant // when the due leases were last looked for
	running bool
	wake    chan struct{} // something changed: look again
}

type kept struct {
	LeaseGrant
	most   time.Duration // a longer time to live is not relied on; 0: unknown
	due    time.Time
	asked  int  // attempts since the last answer
	flying bool // a request for it is in flight
	gone   bool // the last answer said that the lease is gone: the next decides

	fn        func(LeaseGrant)
	news      LeaseGrant // the next answer for fn
	unheard   bool       // fn has not had it yet
	reporting bool       // a goroutine calls fn
}

// A renewal is due a third of the time to live after the last one was sent. Leases that are due
// soon after join the request, so that the leases of a process are renewed together.
func (k *kept) interval() time.Duration { return k.TTL / 3 }

// schedule sets when the lease is due, from the time when its last renewal was sent.
func (k *kept) schedule(now clock.Instant) { k.due = now.Add(k.interval() - k.age(now)) }

// patience bounds one attempt, so that several fit into the rest of the lease.
func (k *kept) patience() time.Duration {
	if k.TTL <= 0 { // not known yet
		return time.Second
	}
	return min(k.TTL/3, 2*time.Second)
}

func newKeeper(c *Client) *keeper {
	return &keeper{c: c, leases: map[LeaseID]*kept{}, wake: make(chan struct{}, 1)}
}

// lookEvery bounds the time between two looks at the due leases, because timers stop while the
// machine sleeps.
const lookEvery = time.Second

// sleptFor is the gap between the clocks that counts as a sleep, after which all leases are renewed
// at once. A wall clock that was set forward is treated the same, because the whole machine may
// have been paused.
const sleptFor = 500 * time.Millisecond

// KeepAlive renews a lease every third of its time to live, and at once after the machine has
// slept, at any endpoint that answers, until stop is called, the lease is gone or the client is
// closed. Leases that a client keeps alive share requests. No answer counts for more than g.TTL,
// which is the time to live that was requested, see [Client.Grant]; 0 says that it is not known.
//
// fn is called with the answers one after the other, in the order of their requests, in a goroutine
// of this lease alone. A slow fn misses all but the newest answer. A TTL of 0, which two answers
// have confirmed, says that the lease is gone; it is the last call. Failures are not reported, only
// retried. stop is safe for concurrent use. A call of fn may be in flight when stop returns;
// [Client.Close] waits for it.
func (c *Client) KeepAlive(g LeaseGrant, fn func(LeaseGrant)) (stop func()) {
	k := c.keep
	l := &kept{LeaseGrant: g, most: g.TTL, fn: fn}
	l.schedule(clock.Now())
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
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		batch, next, done := k.take(clock.Now())
		if done {
			return
		}
		for chunk := range slices.Chunk(batch, renewalChunk) {
			flights.Go(func() { k.renew(chunk, nil) })
		}
		timer.Reset(min(time.Until(next), lookEvery))
		select {
		case <-timer.C:
		case <-k.wake:
		case <-k.c.ctx.Done():
			return
		}
	}
}

// take returns the leases to renew now, those with the most unanswered attempts last, and when to
// look again.
func (k *keeper) take(at clock.Instant) (batch []*kept, next time.Time, done bool) {
	now := at.Time
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.leases) == 0 {
		k.running, k.looked = false, clock.Instant{}
		return nil, now, true
	}
	slept := !k.looked.IsZero() && clock.Gap(k.looked, at) > sleptFor
	k.looked = at
	next = now.Add(time.Hour)
	urgent := false
	for _, l := range k.leases {
		if l.flying {
			continue
		}
		if slept && l.due.After(now) {
			l.due = now
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
		case !l.due.Add(-l.interval() / joinShare).After(now):
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

// report schedules a call of fn with an answer. The caller holds mu.
func (k *keeper) report(l *kept, g LeaseGrant) {
	l.news, l.unheard = g, true
	// fn may block: each lease has a goroutine of its own while there is an answer to report.
	if !l.reporting {
		l.reporting = k.c.spawn(func() { k.deliver(l) })
	}
}

func (k *keeper) deliver(l *kept) {
	for {
		k.mu.Lock()
		g, unheard := l.news, l.unheard
		l.unheard, l.reporting = false, unheard
		k.mu.Unlock()
		if !unheard {
			return
		}
		l.fn(g)
	}
}
