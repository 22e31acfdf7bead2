package session

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Group commit: while a request is under way, the writes that wait go out together, as one transaction under one epoch.
// The gateway's price, which is per request, is then paid once for all of them. A write that finds nothing under way goes
// at once and alone.
const (
	// maxCommits is how many transactions of a session are under way before writes wait. With two, the server works on
	// one while the answer to the other is read; more make smaller batches.
	maxCommits = 2
	// maxCommitOps leaves room for the record within etcd's limit of 128.
	maxCommitOps = 120
)

// commits is what waits to be written together. All of it is under the session's mu.
type commits struct {
	waiting  []*waiter
	underWay int
	maxOps   int             // where the server takes less than maxCommitOps
	apart    map[string]bool // lines whose writes were refused: they go alone, or they would fail others'
}

// waiter is a write that waits for a transaction, or is part of one.
type waiter struct {
	w    Write
	turn chan struct{} // told once: to lead a batch, to go alone, or that out and err are there

	batch *batch // to lead
	alone bool   // the batch was refused: to find out by whom
	left  bool   // nobody waits for the outcome
	open  bool   // as in batch
	out   Outcome
	err   error
}

// batch is what goes into one transaction.
type batch struct {
	members  []*waiter
	open     bool // copies of it are out whose fate nobody knows
	repeated bool // an earlier one may have been applied
}

// commit writes w together with what else waits. The caller whose write is the first of a batch sends it, so that a batch
// needs no goroutine of its own.
func (s *Session) commit(ctx context.Context, w Write) (Outcome, error) {
	me := &waiter{w: w, turn: make(chan struct{}, 1)}
	s.mu.Lock()
	s.commits.waiting = append(s.commits.waiting, me)
	s.dispatch()
	s.mu.Unlock()
	for {
		select {
		case <-me.turn:
		case <-ctx.Done():
			switch s.leave(me) {
			case leftBehind:
				return Outcome{Repeated: true}, uncertain(ctxerr.Of(ctx))
			case leftWaiting:
				return s.giveUp(ctx, w, Outcome{}, false, ctxerr.Of(ctx))
			case leftNot:
				<-me.turn
			}
		}
		switch b := me.batch; {
		case b != nil:
			me.batch = nil
			s.lead(ctx, b)
		case me.alone:
			out, err := s.single(ctx, w, me.open, me.out.Repeated)
			if errors.Is(err, gateway.ErrPermissionDenied) {
				s.setApart(w.Line)
			}
			return out, err
		case me.err != nil:
			return s.giveUp(ctx, w, me.out, me.open, me.err)
		default:
			return me.out, nil
		}
	}
}

type leaving int

const (
	leftNot     leaving = iota // there is something to do first: a batch to lead, or an outcome to take
	leftWaiting                // nothing of it was sent
	leftBehind                 // it is on its way; whoever leads the batch will see to it that it is undone
)

// leave gives up on a write.
func (s *Session) leave(me *waiter) leaving {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(me.turn) > 0 {
		return leftNot
	}
	if i := slices.Index(s.commits.waiting, me); i >= 0 {
		s.commits.waiting = slices.Delete(s.commits.waiting, i, i+1)
		return leftWaiting
	}
	me.left = true
	return leftBehind
}

// setApart keeps the writes of a line out of batches.
func (s *Session) setApart(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.commits.apart == nil {
		s.commits.apart = map[string]bool{}
	}
	s.commits.apart[line] = line != ""
}

// dispatch makes batches of what waits and calls upon the first of each to send it. s.mu is held.
func (s *Session) dispatch() {
	for s.commits.underWay < maxCommits && len(s.commits.waiting) > 0 {
		b := s.nextBatch()
		s.commits.underWay++
		b.members[0].lead(b)
	}
}

func (me *waiter) lead(b *batch) {
	me.batch = b
	me.turn <- struct{}{}
}

// nextBatch takes the first that waits, and what may go with it. Members of one line may not: their keys would have the
// same create_revision, which is their place. Nor may two writes of one key.
func (s *Session) nextBatch() *batch {
	q := &s.commits
	first := q.waiting[0]
	b := &batch{members: []*waiter{first}}
	if len(q.waiting) == 1 || q.apart[first.w.Line] {
		q.waiting = slices.Delete(q.waiting, 0, 1)
		return b
	}
	room := cmp.Or(q.maxOps, maxCommitOps) - len(first.w.Then)
	keys, lines := map[string]bool{first.w.Key: true}, map[string]bool{first.w.Line: true}
	rest := q.waiting[:0]
	for _, m := range q.waiting[1:] {
		line := m.w.Line
		if keys[m.w.Key] || line != "" && (lines[line] || q.apart[line]) || len(m.w.Then) > room {
			rest = append(rest, m)
			continue
		}
		b.members = append(b.members, m)
		room -= len(m.w.Then)
		keys[m.w.Key], lines[line] = true, true
	}
	clear(q.waiting[len(rest):])
	q.waiting = rest
	return b
}

// lead sends a batch and tells its members what became of it. If the leader's context ends first, the next member goes on
// where it stopped.
func (s *Session) lead(ctx context.Context, b *batch) {
	var w Write
	for _, m := range b.members {
		w.Then = append(w.Then, m.w.Then...)
	}
	bound, cancel := s.bound(ctx)
	out, open, err := s.write(bound, w, b.open)
	cancel()
	out.Repeated = out.Repeated || b.repeated

	s.mu.Lock()
	var settle []*waiter
	next := &batch{open: open, repeated: out.Repeated}
	for i, m := range b.members {
		m.open, m.out = open, Outcome{Repeated: out.Repeated}
		switch {
		case err == nil:
			n := len(m.w.Then)
			m.out.Applied, m.out.Revision, m.out.Responses = out.Applied, out.Revision, out.Responses[:n:n]
			out.Responses = out.Responses[n:]
		case i > 0 && !m.left && ctx.Err() != nil && s.ctx.Err() == nil:
			next.members = append(next.members, m)
			continue
		case len(b.members) > 1 && ctx.Err() == nil && s.ctx.Err() == nil:
			m.alone = true
		default:
			m.err = err
		}
		if m.left {
			settle = append(settle, m)
		} else {
			m.turn <- struct{}{}
		}
	}
	if err != nil && errors.Is(err, gateway.ErrInvalid) && len(b.members) > 1 { // too many operations, or bytes
		s.commits.maxOps = max(len(w.Then)/2, 1)
	}
	if len(next.members) > 0 {
		next.members[0].lead(next)
	} else {
		s.commits.underWay--
		s.dispatch()
	}
	s.mu.Unlock()
	for _, m := range settle {
		s.settle(m.w, m.open)
	}
}
