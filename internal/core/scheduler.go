package core

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// scheduler puts the writes of a session into transactions, so that writes that wait while a
// request is under way share the cost of the next one. A write that finds nothing under way is sent
// at once. Session.mu guards all but spare.
//
// Goroutines of the session, the senders, send the transactions. A sender runs while there are
// writes for it, and has one transaction under way at a time. A caller whose write finds no sender
// is one for that write, see submitOwn.
type scheduler struct {
	waiting   []*Pending
	senders   int
	members   int             // the writes in the transactions under way
	returning int             // weighted writes that are expected from callers that were answered
	returned  chan struct{}   // closed when none is expected any more; nil unless a sender lingers
	weighted  bool            // one of these transactions has weighted writes
	shared    bool            // the last transaction had several writes
	took      time.Duration   // by the last of them
	maxOps    int             // if the server accepts less than MaxOps
	isolated  map[string]bool // lines whose writes were rejected: sent alone
	taken     map[string]bool // keys and lines of the batch that is being made
	nest      int             // the batches to nest; only the sender of weighted writes uses it
	spare     sync.Pool       // of Pending for reuse
	deferred  deferredWrites  // see schedulerdefer.go
}

// Pending is a write whose outcome was not read yet.
type Pending struct {
	s    *Session
	ctx  context.Context //nolint:containedctx // of the caller, for the request
	w    Write
	done chan struct{} // signals that out and err are set

	batch    *batch // nil while it waits
	alone    bool   // a batch was rejected: sent alone to find the write at fault
	left     bool   // the caller has returned
	deferred bool   // no caller waits
	// inDoubt and out are also the state in which the next try starts.
	inDoubt bool // copies may still be applied
	out     Outcome
	err     error
}

// Submit starts a write with a Key or a Weight, and returns without waiting for the outcome.
// [Pending.Wait] must be called, once.
func (s *Session) Submit(ctx context.Context, w Write) *Pending {
	p := s.pending(ctx, w)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.enqueue(p) {
		s.leadBy(p)
	}
	return p
}

// leadBy starts a sender if a transaction may be made for a write that was enqueued. s.mu is held.
func (s *Session) leadBy(p *Pending) {
	q := &s.scheduler
	if p.w.Weight > 0 {
		q.countReturn()
	}
	if q.senders < maxSenders && q.mayLead(p) {
		s.startSender()
	}
}

// Answered reports whether Wait would return at once.
func (p *Pending) Answered() bool { return len(p.done) > 0 }

// Wait returns the outcome, as [Session.Write] does.
func (p *Pending) Wait(ctx context.Context) (Outcome, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		switch p.leave(ctx) {
		case leftBehind:
			return Outcome{Repeated: true, resolving: true}, uncertain(ctxerr.Of(ctx))
		case leftWaiting:
			p.err = ctxerr.Of(ctx)
		case leftNot:
			<-p.done
		}
	}
	s, w, out, inDoubt, err := p.s, p.w, p.out, p.inDoubt, p.err
	*p = Pending{s: s, done: p.done}
	s.scheduler.spare.Put(p)
	return s.giveUp(ctx, w, out, inDoubt, err)
}

type leaving int

const (
	leftNot     leaving = iota // there is an outcome to read, or will be at once
	leftWaiting                // it is not under way
	leftBehind                 // it is under way; the sender has it resolved
)

// leave withdraws a write whose caller's context has ended. The last caller of a request ends it.
func (p *Pending) leave(ctx context.Context) leaving {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Answered() {
		return leftNot
	}
	if p.batch == nil {
		i := slices.Index(s.scheduler.waiting, p)
		s.scheduler.waiting = slices.Delete(s.scheduler.waiting, i, i+1)
		return leftWaiting
	}
	if p.batch.callers == 1 { // the request ends at once
		p.batch.cancel(ctxerr.Of(ctx))
		return leftNot
	}
	p.batch.callers--
	p.left = true
	return leftBehind
}

func (s *Session) startSender() {
	s.scheduler.senders++
	s.bg.Go(s.sendWrites)
}

// sendWrites is a sender.
func (s *Session) sendWrites() {
	for {
		s.awaitExpected()
		b := s.nextBatch()
		if b == nil {
			return
		}
		began := time.Now()
		s.sendBatch(b)
		weighted := b.members[0].w.Weight > 0
		if s.finish(b) > 1 {
			runtime.Gosched() // the callers that were answered may have writes for the next batch
		}
		if weighted {
			s.linger(time.Since(began))
		}
	}
}

// mayLead reports whether a transaction is made for a write. Weighted writes wait for the answer to
// the ones before.
func (q *scheduler) mayLead(p *Pending) bool { return p.w.Weight == 0 || !q.weighted }

// first returns the index of the longest waiting write that may lead, or -1.
func (q *scheduler) first() int { return slices.IndexFunc(q.waiting, q.mayLead) }

// nextBatch makes the next batch of waiting writes. It returns nil if there are none for another
// transaction, and the sender ends then.
func (s *Session) nextBatch() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.makeBatch()
}

// makeBatch is nextBatch. s.mu is held.
func (s *Session) makeBatch() *batch {
	q := &s.scheduler
	i := q.first()
	if i < 0 {
		q.senders--
		return nil
	}
	p := q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.weighted = q.weighted || p.w.Weight > 0
	b := &batch{members: []*Pending{p}}
	if !p.alone && !q.isolated[p.w.Line] {
		q.fill(b)
	}
	q.members += len(b.members)
	for _, p := range b.members {
		p.batch = b
		if !p.deferred {
			b.callers++
		}
	}
	ctx := p.ctx
	if b.callers > 1 { // the request has the values of one context, and goes on without its caller
		ctx = context.WithoutCancel(ctx)
	}
	b.ctx, b.cancel = s.bound(ctx)
	if q.senders < maxSenders && q.first() >= 0 {
		s.startSender()
	}
	return b
}

// fill adds waiting writes to a batch of one. Weighted writes fill a transaction of their own. Of
// the others, no two of one line are added, because their keys would have the same create_revision,
// which is their place, and no two of one key.
func (q *scheduler) fill(b *batch) {
	first := b.members[0].w
	weighted := first.Weight > 0
	room := cmp.Or(q.maxOps, MaxOps) - first.size()
	share := len(q.waiting) + 1
	if !weighted {
		// Not all of them, because the callers of the other transaction may write again once it is
		// answered; their writes are sent with the rest while this transaction is under way.
		share = max((q.members+len(q.waiting)+2)/2, minShare)
	}
	if q.taken == nil {
		q.taken = map[string]bool{}
	}
	clear(q.taken)
	q.take(first)
	b.members = slices.Grow(b.members, min(share-1, len(q.waiting)))
	rest := q.waiting[:0]
	for i, p := range q.waiting {
		if len(b.members) == share {
			rest = append(rest, q.waiting[i:]...)
			break
		}
		if p.alone || p.w.size() > room || p.w.Weight > 0 != weighted || !q.take(p.w) {
			rest = append(rest, p)
			continue
		}
		b.members = append(b.members, p)
		room -= p.w.size()
	}
	clear(q.waiting[len(rest):])
	q.waiting = rest
	if !weighted && len(q.deferred.waiting) > 0 {
		b.members = append(q.takeDeferred(room), b.members...)
	}
}

// size returns the write's share of a transaction of [MaxOps].
func (w *Write) size() int { return cmp.Or(w.Weight, len(w.Then)) }

// take adds a write to the batch, or returns false if it may not be part of it.
func (q *scheduler) take(w Write) bool {
	if w.Weight > 0 {
		return true
	}
	if q.taken[w.Key] || w.Line != "" && (q.taken[w.Line] || q.isolated[w.Line]) {
		return false
	}
	q.taken[w.Key] = true
	if w.Line != "" {
		q.taken[w.Line] = true
	}
	return true
}

// finish passes the outcome of a batch to its members, and returns the number of the callers that
// were answered. If the server has rejected the transaction, each write is sent again alone, so
// that only the writes at fault fail.
func (s *Session) finish(b *batch) (answered int) {
	var resolve, again []*Pending
	s.mu.Lock()
	q := &s.scheduler
	n, size, first := len(b.members), b.size(), *b.members[0]
	for _, p := range b.members {
		p.batch = nil
		switch {
		case p.left:
			resolve = append(resolve, p)
		case b.sendsAlone(p):
			p.alone, p.err = true, nil
			again = append(again, p)
		default:
			p.done <- struct{}{} // from here on p is the caller's
		}
	}
	switch {
	case b.ctx.Err() != nil: // b.err may match anything, because it has the cause
	case n > 1 && tooMany(b.err):
		q.maxOps = max(size/2, 1)
	case first.alone && errors.Is(b.err, gateway.ErrPermissionDenied):
		q.isolate(first.w.Line)
	}
	if len(again) > 0 {
		q.waiting = slices.Concat(again, q.waiting)
	}
	q.members -= n
	q.shared = n > 1
	answered = n - len(again) - len(resolve)
	if first.w.Weight > 0 && answered > 1 {
		q.returning = answered
	}
	s.mu.Unlock()
	b.cancel(nil)
	for _, p := range resolve {
		s.resolve(p.w, p.inDoubt)
	}
	return answered
}

// end passes the end of the session to the waiting writes.
func (q *scheduler) end(err error) {
	for _, p := range slices.Concat(q.waiting, q.deferred.waiting) {
		p.err = err
		p.done <- struct{}{}
	}
	q.waiting, q.deferred.waiting = nil, nil
}

// rejected reports whether the server has answered that it does not accept a transaction. A full
// database may have accepted an earlier copy.
func rejected(err error) bool {
	return errors.Is(err, gateway.ErrNoSpace) || err != nil && !errors.Is(err, ErrLost) &&
		!errors.Is(err, gateway.ErrUncertain) && !errors.Is(err, gateway.ErrUnavailable)
}

// tooMany reports whether the server accepts fewer operations (--max-txn-ops). An error about
// bytes, or about anything else that is invalid, has the same code but does not apply to other
// batches.
func tooMany(err error) bool {
	e, ok := errors.AsType[*gateway.Error](err)
	return ok && errors.Is(err, gateway.ErrInvalid) &&
		strings.Contains(e.Message, "too many operations")
}

// isolate keeps the writes of a line out of batches.
func (q *scheduler) isolate(line string) {
	if q.isolated == nil {
		q.isolated = map[string]bool{}
	}
	q.isolated[line] = line != ""
}
