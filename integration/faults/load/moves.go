package load

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// DetachedFor is the time for which a lock of Moving is detached.
const DetachedFor = 2 * time.Second

// moves acquires a lock that moves to another session of the party, with which the other parties
// contend for it.
func (w *worker) moves() {
	_ = session.Run(w.ctx, w.client, w.options(), func(ctx context.Context, s *session.Session) error {
		w.noteLoss(s)
		taker := *w
		taker.s, taker.ctx, taker.lease = s, ctx, int64(s.Lease())
		m := mutex.New(w.s, Moving, &mutex.Options{Detachable: true})
		for taker.rest(20 * pace) {
			op := w.begin(Moving, history.Lock, nil)
			l, err := m.Lock(ctx)
			w.granted(op, holding(l), err)
			if err == nil {
				w.moved(l, &taker)
			}
		}
		return ctx.Err()
	})
}

// moved detaches a lock. Then it lets it expire, releases it, or lets the taker adopt it. In each
// case the giver sends a write under its guard.
func (w *worker) moved(l *mutex.Lock, taker *worker) {
	stop := w.watchLoss(Moving, l)
	defer stop()
	w.write(Moving, l)
	ctx, cancel := w.finish()
	defer cancel()
	of := func(o *history.Op) { o.Key, o.Fence = l.Key(), l.Fence() }
	op := w.begin(Moving, history.Detach, of)
	token, err := l.Detach(ctx, DetachedFor)
	w.rec.End(op, outcome(err), err, nil)
	if err != nil {
		return
	}
	switch rand.N(12) {
	case 0:
		w.guarded(Moving, l)
		return
	case 1:
		w.guarded(Moving, l)
		op := w.begin(Moving, history.Free, of)
		err := mutex.Release(ctx, w.client, token)
		w.rec.End(op, outcome(err), err, nil)
		return
	}
	op = taker.begin(Moving, history.Adopt, nil)
	taken, err := mutex.Adopt(ctx, taker.s, token)
	taker.granted(op, holding(taken), err)
	w.guarded(Moving, l)
	if err == nil {
		taker.under(Moving, taken, true, taken.Unlock)
	}
}
