package core

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"

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
	// minShare is how many writes one transaction takes rather than share what waits with the other.
	minShare = 4
)

// writer is what waits to be written together. All of it is under the session's mu.
type writer struct {
	waiting  []*queuedWrite
	underWay int             // transactions
	members  int             // the writes in them
	answered int             // writes, since the last batch was made: their callers may want to write again
	maxOps   int             // where the server takes less than maxCommitOps
	apart    map[string]bool // lines whose writes were refused: they go alone, or they would fail others'
	taken    map[string]bool // keys and lines of the batch that is being made
	spare    sync.Pool       // of waiters that nobody knows any more
}

// queuedWrite is a write that waits for a transaction, or is part of one.
type queuedWrite struct {
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
	members  []*queuedWrite
	full     bool // nothing is added any more
	inDoubt  bool // copies of it are out whose fate nobody knows
	repeated bool // an earlier one may have been applied
}

// commit writes w together with what else waits. The caller whose write is the first of a batch sends it, so that a batch
// needs no goroutine of its own.
func (s *Session) commit(ctx context.Context, w Write) (Outcome, error) {
	me, _ := s.writer.spare.Get().(*queuedWrite)
	if me == nil {
		me = &queuedWrite{turn: make(chan struct{}, 1)}
	}
	me.w = w
	s.mu.Lock()
	s.writer.waiting = append(s.writer.waiting, me)
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
				s.writer.release(me)
				return s.giveUp(ctx, w, Outcome{}, false, ctxerr.Of(ctx))
			case leftNot:
				<-me.turn
			}
		}
		if b := me.batch; b != nil {
			me.batch = nil
			s.lead(ctx, b)
			continue
		}
		out, inDoubt, alone, err := me.out, me.open, me.alone, me.err
		s.writer.release(me)
		switch {
		case alone:
			out, err = s.single(ctx, w, inDoubt, out.Repeated)
			if errors.Is(err, gateway.ErrPermissionDenied) {
				s.isolate(w.Line)
			}
			return out, err
		default:
			return s.giveUp(ctx, w, out, inDoubt, err)
		}
	}
}

// release keeps a waiter for the next write.
func (q *writer) release(me *queuedWrite) {
	*me = queuedWrite{turn: me.turn}
	q.spare.Put(me)
}

type leaving int

const (
	leftNot     leaving = iota // there is something to do first: a batch to lead, or an outcome to take
	leftWaiting                // nothing of it was sent
	leftBehind                 // it is on its way; whoever leads the batch will see to it that it is undone
)

// leave gives up on a write.
func (s *Session) leave(me *queuedWrite) leaving {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(me.turn) > 0 {
		return leftNot
	}
	if i := slices.Index(s.writer.waiting, me); i >= 0 {
		s.writer.waiting = slices.Delete(s.writer.waiting, i, i+1)
		return leftWaiting
	}
	me.left = true
	return leftBehind
}

// isolate keeps the writes of a line out of batches.
func (s *Session) isolate(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer.apart == nil {
		s.writer.apart = map[string]bool{}
	}
	s.writer.apart[line] = line != ""
}

// dispatch calls upon those who wait longest to send a batch each. The patient go along, or when nothing else is under way;
// those that may not go along do not wait for that. s.mu is held.
func (s *Session) dispatch() {
	q := &s.writer
	for q.underWay < maxCommits && len(q.waiting) > 0 {
		next := 0
		if q.underWay > 0 {
			next = slices.IndexFunc(q.waiting, func(m *queuedWrite) bool { return !m.w.MayLinger || q.apart[m.w.Line] })
		}
		if next < 0 {
			return
		}
		first := q.waiting[next]
		q.waiting = slices.Delete(q.waiting, next, next+1)
		q.underWay++
		q.members++
		first.lead(&batch{members: []*queuedWrite{first}})
	}
}

func (me *queuedWrite) lead(b *batch) {
	me.batch = b
	me.turn <- struct{}{}
}

// expectPeers tells whether several were answered just now, who may want something that can go with what is to be sent.
func (s *Session) expectPeers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writer.answered > 1
}

// fill adds to a batch what may go with the first. Members of one line may not: their keys would have the same
// create_revision, which is their place. Nor may two writes of one key.
func (s *Session) fill(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.writer
	q.answered = 0
	b.full = true
	first := b.members[0]
	if len(q.waiting) == 0 || q.apart[first.w.Line] {
		return
	}
	if q.taken == nil {
		q.taken = map[string]bool{}
	}
	clear(q.taken)
	q.take(first.w)
	room := cmp.Or(q.maxOps, maxCommitOps) - len(first.w.Then)
	// Not all of it: those of the other transaction will wait, too, when it has been answered, and go while this is under
	// way.
	share := max((q.members+len(q.waiting)+1)/2, minShare)
	b.members = slices.Grow(b.members, min(len(q.waiting), share-1))
	rest := q.waiting[:0]
	for i, m := range q.waiting {
		if len(b.members) == share {
			rest = append(rest, q.waiting[i:]...)
			break
		}
		if len(m.w.Then) > room || !q.take(m.w) {
			rest = append(rest, m)
			continue
		}
		b.members = append(b.members, m)
		room -= len(m.w.Then)
	}
	clear(q.waiting[len(rest):])
	q.waiting = rest
	q.members += len(b.members) - 1
}

// take notes that a write is part of the batch, or tells that it may not be.
func (q *writer) take(w Write) bool {
	if q.taken[w.Key] || w.Line != "" && (q.taken[w.Line] || q.apart[w.Line]) {
		return false
	}
	q.taken[w.Key] = true
	if w.Line != "" {
		q.taken[w.Line] = true
	}
	return true
}

// then is all that the batch does.
func (b *batch) then() []gateway.Op {
	if len(b.members) == 1 {
		return b.members[0].w.Then
	}
	n := 0
	for _, m := range b.members {
		n += len(m.w.Then)
	}
	then := make([]gateway.Op, 0, n)
	for _, m := range b.members {
		then = append(then, m.w.Then...)
	}
	return then
}

// tooMany tells whether the server takes fewer operations (--max-txn-ops). What it refuses for its bytes, or anything else that
// is invalid, has the same code and says nothing of other batches.
func tooMany(err error) bool {
	e, ok := errors.AsType[*gateway.Error](err)
	return ok && errors.Is(err, gateway.ErrInvalid) && strings.Contains(e.Message, "too many operations")
}

// lead sends a batch and tells its members what became of it. If the leader's context ends first, the next member goes on
// where it stopped.
func (s *Session) lead(ctx context.Context, b *batch) {
	if !b.full {
		if s.expectPeers() {
			runtime.Gosched()
		}
		s.fill(b)
	}
	w := Write{Then: b.then()}
	bound, cancel := s.bound(ctx)
	out, inDoubt, err := s.write(bound, w, b.inDoubt)
	cancel()
	out.Repeated = out.Repeated || b.repeated

	s.mu.Lock()
	var settle []*queuedWrite
	next := &batch{full: true, inDoubt: inDoubt, repeated: out.Repeated}
	for i, m := range b.members {
		m.open, m.out = inDoubt, Outcome{Repeated: out.Repeated}
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
	if len(b.members) > 1 && tooMany(err) {
		s.writer.maxOps = max(len(w.Then)/2, 1)
	}
	s.writer.members -= len(b.members) - len(next.members)
	s.writer.answered += len(b.members) - len(next.members)
	if len(next.members) > 0 {
		next.members[0].lead(next)
	} else {
		s.writer.underWay--
		s.dispatch()
	}
	s.mu.Unlock()
	for _, m := range settle {
		s.resolve(m.w, m.open)
	}
}
