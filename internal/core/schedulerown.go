package core

import "context"

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

// submitOwn is [Session.Submit] for a caller that waits at once. It sends the write in the caller's
// goroutine if no sender runs and the last transaction had no other write, because the switches to
// a sender and back cost lock_own_c1 8 % of its rate, and lock_own_c16 11 %. Otherwise others are
// likely to write at the same time, and share the transaction of a sender: lock_own_c64 was 20 %
// slower without this condition.
func (s *Session) submitOwn(ctx context.Context, w Write) *Pending {
	p := s.pending(ctx, w)
	if b := s.ownBatch(p); b != nil {
		defer s.leaveRest() // also if a hook panics
		s.sendBatch(b)
		s.finish(b)
	}
	return p
}

// ownBatch submits a write. It returns the batch that the caller has to send, or nil.
func (s *Session) ownBatch(p *Pending) *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.scheduler
	switch {
	case !s.enqueue(p):
	case q.senders == 0 && len(q.waiting) == 1 && p.w.Weight == 0 && !q.shared:
		q.senders++
		return s.makeBatch()
	default:
		s.leadBy(p)
	}
	return nil
}

// leaveRest starts a sender for the writes that have arrived meanwhile.
func (s *Session) leaveRest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.scheduler
	q.senders--
	switch {
	case s.ended: // no goroutine may start
		q.end(context.Cause(s.ctx))
	case q.first() >= 0:
		s.startSender()
	}
}
