package core

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// pending returns a write that was not submitted yet.
func (s *Session) pending(ctx context.Context, w Write) *Pending {
	p, _ := s.scheduler.spare.Get().(*Pending)
	if p == nil {
		p = &Pending{s: s, done: make(chan struct{}, 1)}
	}
	p.ctx, p.w = ctx, w
	return p
}

// enqueue returns false if the session has ended, and p is answered then. s.mu is held.
func (s *Session) enqueue(p *Pending) bool {
	if s.ended {
		p.err = context.Cause(s.ctx)
		p.done <- struct{}{}
		return false
	}
	s.scheduler.waiting = append(s.scheduler.waiting, p)
	return true
}

// submitOwn is [Session.Submit] for a caller that waits at once. While no sender runs, it sends the
// write in the caller's goroutine, because a sender would cost two switches of goroutines. Writes
// that arrive meanwhile do not join that transaction, and have a sender after it.
func (s *Session) submitOwn(ctx context.Context, w Write) *Pending {
	p := s.pending(ctx, w)
	if b := s.ownBatch(p); b != nil {
		s.sendOwn(p, b)
	}
	return p
}

// sendOwn sends the batch of a caller. A hook may panic or end the goroutine meanwhile. The batch
// is in doubt then, and the session resolves the caller's write, because no caller waits for it.
func (s *Session) sendOwn(p *Pending, b *batch) {
	sent := false
	defer func() {
		if !sent {
			for _, m := range b.members {
				m.err, m.inDoubt = gateway.ErrUncertain, true
			}
			p.left = true // no other caller is in the batch
		}
		s.finish(b)
		s.leaveRest()
	}()
	s.sendBatch(b)
	sent = true
}

// ownBatch submits a write. It returns the batch that the caller has to send, or nil.
func (s *Session) ownBatch(p *Pending) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.scheduler
	switch {
	case !s.enqueue(p):
	case q.senders == 0 && len(q.waiting) == 1 && p.w.Weight == 0:
		q.senders++
		return s.makeBatch()
	default:
		s.leadBy(p)
	}
	return nil
}

// leaveRest starts a sender for the writes that have arrived.
func (s *Session) leaveRest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.scheduler
	q.senders--
	if q.first(q.senders-q.apart) >= 0 {
		s.startSender()
	}
}
