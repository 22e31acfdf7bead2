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

// Group commit: the writes that wait while a request is under way are sent together, as one
// transaction under one epoch, so that the cost of a request is paid once for all of them. A write
// that finds nothing under way is sent at once, alone.
const (
	// maxCommits is the number of transactions of a session that may be under way before writes
	// wait. With two, the server works on one while the answer to the other is read; more make
	// smaller batches.
	maxCommits = 2
	// maxCommitOps leaves room for the record within etcd's limit of 128.
	maxCommitOps = 120
	// minShare is the number of writes that a transaction takes before it leaves waiting writes to
	// the other one.
	minShare = 4
)

// writer has the writes that wait to be sent together. The session's mu guards all but spare.
type writer struct {
	waiting  []*queuedWrite
	underWay int             // transactions
	members  int             // the writes in them
	answered int             // writes since the last batch was made: their callers may write again
	maxOps   int             // if the server accepts less than maxCommitOps
	apart    map[string]bool // lines whose writes were rejected: sent alone, as others would fail too
	taken    map[string]bool // keys and lines of the batch that is being made
	spare    sync.Pool       // of queuedWrites for reuse
}

// queuedWrite is a write that waits for a transaction, or is part of one.
type queuedWrite struct {
	w    Write
	turn chan struct{} // signals that there is a batch to lead, that alone is set, or out and err

	batch *batch // to lead
	alone bool   // the batch was rejected: sent alone to find the write at fault
	left  bool   // the caller has returned
	open  bool   // see batch.inDoubt
	out   Outcome
	err   error
}

// batch is the content of one transaction.
type batch struct {
	members  []*queuedWrite
	full     bool // no write is added any more
	inDoubt  bool // copies of it may still be applied
	repeated bool // an earlier one may have been applied
}

// commit writes w together with the other waiting writes. The caller whose write is the first of a
// batch sends it, so that a batch needs no goroutine of its own.
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

// release keeps a queuedWrite for the next write.
func (q *writer) release(me *queuedWrite) {
	*me = queuedWrite{turn: me.turn}
	q.spare.Put(me)
}

type leaving int

const (
	leftNot     leaving = iota // there is a batch to lead, or an outcome to read, first
	leftWaiting                // it was not sent
	leftBehind                 // it is under way; the leader of the batch has it resolved
)

// leave withdraws a write.
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

// dispatch has the callers that wait longest send a batch each. A write that may linger is sent as
// part of a batch, or when nothing else is under way; it does not linger if its line is kept out of
// batches. s.mu is held.
func (s *Session) dispatch() {
	q := &s.writer
	for q.underWay < maxCommits && len(q.waiting) > 0 {
		next := 0
		if q.underWay > 0 {
			next = slices.IndexFunc(q.waiting, func(m *queuedWrite) bool {
				return !m.w.MayLinger || q.apart[m.w.Line]
			})
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

// expectPeers reports whether several writes were answered just now, whose callers may have writes
// for the batch that is to be sent.
func (s *Session) expectPeers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writer.answered > 1
}

// fill adds waiting writes to a batch. It adds no two writes of one line, because their keys would
// have the same create_revision, which is their place, and no two writes of one key.
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
	// Not all of them, because the callers of the other transaction may write again once it is
	// answered; their writes are sent with the rest while this transaction is under way.
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

// take adds a write to the batch, or returns false if it may not be part of it.
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

// then returns all operations of the batch.
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

// tooMany reports whether the server accepts fewer operations (--max-txn-ops). An error about
// bytes, or about anything else that is invalid, has the same code but does not apply to other
// batches.
func tooMany(err error) bool {
	e, ok := errors.AsType[*gateway.Error](err)
	return ok && errors.Is(err, gateway.ErrInvalid) &&
		strings.Contains(e.Message, "too many operations")
}

// lead sends a batch and passes the outcome to its members. If the leader's context ends first, the
// next member continues where it stopped.
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
