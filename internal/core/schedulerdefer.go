package core

import (
	"context"
	"strings"
	"time"
)

// deferredWrites are writes that wait for the transaction of another, before whose operations they
// are applied: a join that follows a release does not find the key that the release deletes.
// Session.mu guards them.
type deferredWrites struct {
	waiting []*Pending
	timer   *time.Timer              // for the first of waiting
	running map[string]chan struct{} // by key, also of writes under way; closed once answered
}

// submitDeferred is [Session.Submit] for a write with a Key that may wait for deferTime. No caller
// waits for it, so it does not keep up a transaction whose other callers have left. over must be
// called after [Pending.Wait].
func (s *Session) submitDeferred(w Write) (p *Pending, over func()) {
	p = s.pending(s.ctx, w)
	p.deferred = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		p.err = context.Cause(s.ctx)
		p.done <- struct{}{}
		return p, func() {}
	}
	d := &s.scheduler.deferred
	d.waiting = append(d.waiting, p)
	switch {
	case d.timer == nil:
		d.timer = time.AfterFunc(deferTime, s.sendDeferred)
		d.running = map[string]chan struct{}{}
	case len(d.waiting) == 1:
		d.timer.Reset(deferTime)
	}
	answered := make(chan struct{})
	d.running[w.Key] = answered
	return p, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.running[w.Key] == answered { // the key may be another hold's by now
			delete(d.running, w.Key)
		}
		close(answered)
	}
}

// sendDeferred sends the deferred writes although no other write has come.
func (s *Session) sendDeferred() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushDeferred()
}

// flushDeferred is sendDeferred. s.mu is held.
func (s *Session) flushDeferred() {
	q := &s.scheduler
	all := q.deferred.waiting
	q.deferred.waiting = nil
	if len(all) == 0 {
		return
	}
	q.waiting = append(all, q.waiting...)
	if q.senders < maxSenders && q.first() >= 0 {
		s.startSender()
	}
}

// takeDeferred removes the deferred writes that a batch has room for, and returns them.
func (q *scheduler) takeDeferred(room int) (all []*Pending) {
	d := &q.deferred
	var rest []*Pending
	for _, p := range d.waiting {
		if p.w.size() > room || !q.take(p.w) {
			rest = append(rest, p)
			continue
		}
		all = append(all, p)
		room -= p.w.size()
	}
	if d.waiting = rest; len(rest) == 0 && len(all) > 0 {
		d.timer.Stop()
	}
	return all
}

// AwaitDeferred sends the deferred deletions of keys with a prefix, and waits until they were
// answered. It returns early when ctx or the session ends.
func AwaitDeferred(ctx context.Context, s *Session, prefix string) {
	s.mu.Lock()
	var running []chan struct{}
	for key, answered := range s.scheduler.deferred.running {
		if strings.HasPrefix(key, prefix) {
			running = append(running, answered)
		}
	}
	if len(running) > 0 {
		s.flushDeferred()
	}
	s.mu.Unlock()
	for _, answered := range running {
		select {
		case <-answered:
		case <-s.ctx.Done():
		case <-ctx.Done():
		}
	}
}
