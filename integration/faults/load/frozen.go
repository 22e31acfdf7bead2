package load

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// Victims of a freeze hold a lock and a permit for as long as they can and write under them when
// they have them and before they release them. After a pause a careful program checks its hold
// before it writes. These victims record the result of that check and write in any case. The other
// parties want the same holds, so that one of them acquires a hold while its holder is frozen.

// tick is how often a hold is checked. A tick that is jump late means that the process was paused.
const (
	tick = 5 * time.Millisecond
	jump = 40 * time.Millisecond
)

// maxHold bounds the time of one hold.
const maxHold = 3 * time.Second

func (w *worker) holdsLong() {
	m := mutex.New(w.s, Frozen, nil)
	for w.rest(w.appetite()) {
		op := w.begin(Frozen, history.Lock, nil)
		l, err := m.Lock(w.ctx)
		w.granted(op, holding(l), err)
		if err == nil {
			w.sits(Frozen, l, l.Unlock)
		}
	}
}

func (w *worker) holdsPermitLong() {
	sem := semaphore.New(w.s, FrozenPermit, 1, nil)
	for w.rest(w.appetite()) {
		op := w.begin(FrozenPermit, history.Lock, func(o *history.Op) { o.Weight = 1 })
		p, err := sem.Acquire(w.ctx, 1)
		var h session.Hold
		if err == nil {
			h = p
		}
		w.granted(op, h, err)
		if err == nil {
			w.sits(FrozenPermit, h, p.Release)
		}
	}
}

// appetite returns the rest before the next hold.
func (w *worker) appetite() time.Duration {
	if w.cfg.Holds {
		return pace
	}
	return 60 * pace
}

func (w *worker) sits(place string, h session.Hold, release func(context.Context) error) {
	defer w.watchLoss(place, h)()
	w.write(place, h)
	if w.cfg.Holds {
		last := time.Now()
		for began := last; time.Since(began) < maxHold && h.Err() == nil && w.rest(tick); {
			now := time.Now()
			if now.Sub(last) > jump {
				break
			}
			last = now
		}
		w.guarded(place, h) // after a pause, this is the first call
	}
	w.release(place, h, release)
}
