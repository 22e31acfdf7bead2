package core

import "time"

// Expect announces n weighted writes that the caller submits at once, perhaps in goroutines. If no
// weighted write is under way, the first of them waits briefly for the others, so that they share a
// transaction. [Unexpect] must follow for a write that is not submitted.
func Expect(s *Session, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := &s.scheduler; !q.weighted && q.returning == 0 {
		q.returning = n
	}
}

// Unexpect withdraws the announcement of one write.
func Unexpect(s *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scheduler.countReturn()
}

// awaitExpected lingers before the first transaction after [Expect].
func (s *Session) awaitExpected() {
	s.mu.Lock()
	q := &s.scheduler
	i := q.first()
	lingers := i >= 0 && q.waiting[i].w.Weight > 0 && q.returning > 0
	q.weighted = q.weighted || lingers
	took := q.took
	s.mu.Unlock()
	if lingers {
		s.linger(took)
	}
}

// linger waits until as many weighted writes were submitted as were answered, or announced, and no
// longer than a share of the time that the last transaction took. Without it, their callers would
// split into two groups whose transactions alternate, and each caller would wait for two of them.
// Then the next weighted writes are sent.
func (s *Session) linger(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.scheduler
	q.took = took
	if q.returning > 0 && !s.ended {
		returned := make(chan struct{})
		q.returned = returned
		s.mu.Unlock()
		t := time.NewTimer(min(took/lingerShare, maxLinger))
		select {
		case <-returned:
		case <-t.C:
		case <-s.ctx.Done():
		}
		t.Stop()
		s.mu.Lock()
	}
	q.returning, q.returned, q.weighted = 0, nil, false
}

// countReturn notes that a weighted write was submitted. s.mu is held.
func (q *scheduler) countReturn() {
	if q.returning == 0 {
		return
	}
	q.returning--
	if q.returning == 0 && q.returned != nil {
		close(q.returned)
	}
}
