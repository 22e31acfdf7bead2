package load

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// pace is the rest between two uses of the mutex. Most other recipes rest longer. The rest leaves
// CPU to the servers.
const pace = 8 * time.Millisecond

func (w *worker) mutexes() { w.locks(Mutex, mutex.New(w.s, Mutex, nil), pace, 4) }

func (w *worker) delayedMutexes() {
	w.locks(Delayed, mutex.New(w.s, Delayed, &mutex.Options{LockDelay: w.cfg.TTL}), 40*pace, 1)
}

func (w *worker) locks(place string, m *mutex.Mutex, pause time.Duration, writes int) {
	for w.rest(pause) {
		ctx, cancel := w.patience(16)
		op := w.begin(place, history.Lock, nil)
		l, err := m.Lock(ctx)
		cancel()
		w.granted(op, holding(l), err)
		if err != nil {
			continue
		}
		w.under(place, l, rand.N(writes) == 0, l.Unlock)
	}
}

func (w *worker) readersAndWriters() {
	rw := mutex.NewRWMutex(w.s, RW, nil)
	for w.rest(8 * pace) {
		ctx, cancel := w.patience(16)
		verb, lock := history.RLock, rw.RLock
		if rand.N(4) == 0 {
			verb, lock = history.Lock, rw.Lock
		}
		op := w.begin(RW, verb, nil)
		l, err := lock(ctx)
		cancel()
		w.granted(op, holding(l), err)
		if err != nil {
			continue
		}
		w.under(RW, l, verb == history.Lock, l.Unlock)
	}
}

func (w *worker) permits() {
	sem := semaphore.New(w.s, Semaphore, Permits, nil)
	for w.rest(5 * pace) {
		ctx, cancel := w.patience(16)
		n := 1 + rand.N(2)
		op := w.begin(Semaphore, history.Lock, func(o *history.Op) { o.Weight = n })
		p, err := sem.Acquire(ctx, n)
		cancel()
		var h session.Hold
		if err == nil {
			h = p
		}
		w.granted(op, h, err)
		if err != nil {
			continue
		}
		w.under(Semaphore, h, rand.N(4) == 0, p.Release)
	}
}

func holding(l *mutex.Lock) session.Hold {
	if l == nil {
		return nil
	}
	return l
}

// granted records the answer of a call for a hold.
func (w *worker) granted(op *history.Op, h session.Hold, err error) {
	w.rec.End(op, got(err), err, func(o *history.Op) {
		if err == nil {
			o.Key, o.Fence = h.Key(), h.Fence()
		}
	})
}

// under makes a guarded write if asked to, and releases the hold.
func (w *worker) under(
	place string, h session.Hold, write bool, release func(context.Context) error,
) {
	defer w.watchLoss(place, h)()
	if write {
		w.write(place, h)
	}
	w.release(place, h, release)
}

func (w *worker) campaigns() {
	e := election.New(w.s, Election, nil)
	for w.rest(10 * pace) {
		op := w.begin(Election, history.Lock, nil)
		value := op.Token()
		w.rec.Amend(op, func(o *history.Op) { o.Value = value })
		ctx, cancel := w.patience(16)
		term, err := e.Campaign(ctx, value)
		cancel()
		var h session.Hold
		if err == nil {
			h = term
		}
		w.granted(op, h, err)
		if err != nil {
			continue
		}
		w.leads(term)
	}
}

func (w *worker) leads(term *election.Term) {
	defer w.watchLoss(Election, term)()
	op := w.begin(Election, history.Proclaim, func(o *history.Op) {
		o.Key, o.Fence = term.Key(), term.Fence()
	})
	value := op.Token()
	w.rec.Amend(op, func(o *history.Op) { o.Value = value })
	ctx, cancel := w.finish()
	err := term.Proclaim(ctx, value)
	cancel()
	w.rec.End(op, outcome(err), err, nil)
	w.rest(pace)
	w.release(Election, term, term.Resign)
}

// reads reads the leader. A read without a leader fails, has no revision, and is not checked.
func (w *worker) reads() {
	e := election.New(w.s, Election, nil)
	for w.rest(20 * pace) {
		op := w.begin(Election, history.Read, nil)
		leader, err := e.Leader(w.ctx)
		w.rec.End(op, got(err), err, func(o *history.Op) {
			o.Fence, o.Value, o.Revision = leader.Fence, leader.Value, leader.Revision
		})
	}
}

func (w *worker) observes() {
	e := election.New(w.s, Election, nil)
	for ev, err := range e.Observe(w.ctx) {
		if err != nil {
			return
		}
		op := history.Op{
			Client: w.name, Lease: w.lease, Place: Election, Verb: history.Observe,
			Revision: ev.Revision,
		}
		if ev.Leader != nil {
			op.Fence, op.Value = ev.Leader.Fence, ev.Leader.Value
		}
		w.rec.Note(op)
	}
}

func (w *worker) awaits() {
	b := barrier.NewCyclic(w.s, Barrier, Parties)
	for w.rest(10 * pace) {
		ctx, cancel := w.patience(50)
		op := w.begin(Barrier, history.Await, nil)
		a, err := b.Await(ctx)
		cancel()
		w.rec.End(op, got(err), err, func(o *history.Op) { o.Round, o.Fence = a.Round, a.Fence })
	}
}
