package queue

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
)

// pace makes the claims and acks of a Queue with a Prefetch share transactions. A claim waits until
// there are items for half of the Prefetch, or until paceInterval has passed since the last one. An
// ack goes with the next claim, or when half of the Prefetch wait, or after paceInterval.
type pace struct {
	s     *core.Session
	ahead int // the Prefetch
	half  int

	mu    sync.Mutex
	began time.Time     // when items were claimed last
	acks  int           // those that wait
	next  chan struct{} // closed when they are sent; nil if none waits
}

// mayClaim returns 0 if a caller may claim the first of so many items, or else the time after which
// it may. A caller without a pace may always.
func (p *pace) mayClaim(items int) time.Duration {
	if p == nil || items >= p.half {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(paceInterval-time.Since(p.began), 0)
}

// claims notes that so many callers claim the first of so many items, and others ahead, and sends
// the acks that wait.
func (p *pace) claims(callers, items int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
	core.Expect(p.s, p.acks+min(callers+p.ahead, items))
	p.send()
}

// send sends the acks that wait. p.mu is held.
func (p *pace) send() {
	if p.next != nil {
		close(p.next)
	}
	p.acks, p.next = 0, nil
}

// joinAck counts an ack that waits. awaitAck follows.
func (p *pace) joinAck() (sent <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = make(chan struct{})
	}
	next := p.next
	if p.acks++; p.acks >= p.half {
		core.Expect(p.s, p.acks)
		p.send()
	}
	return next
}

// awaitAck returns when the ack is sent, or when ctx ends.
func (p *pace) awaitAck(ctx context.Context, sent <-chan struct{}) {
	t := time.NewTimer(paceInterval)
	defer t.Stop()
	select {
	case <-sent:
		return
	case <-t.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == sent {
		p.send()
	}
}

// arm makes the cache look again when its first waiter may claim. ic.mu is held.
func (ic *itemCache) arm(wait time.Duration) {
	if ic.armed {
		return
	}
	ic.armed = true
	time.AfterFunc(wait, func() {
		ic.mu.Lock()
		defer ic.mu.Unlock()
		ic.armed = false
		ic.dispatch()
	})
}
