package load

import (
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/mutex"
)

// MaxHold is the longest time without progress for which a lock of Overdue is held.
const MaxHold = 250 * time.Millisecond

// hangs acquires a lock that has a MaxHold. One holder in four hangs. The others make progress, and
// hold it for about as long.
func (w *worker) hangs() {
	m := mutex.New(w.s, Overdue, &mutex.Options{MaxHold: MaxHold})
	for w.rest(20 * pace) {
		ctx, cancel := w.patience(16)
		op := w.begin(Overdue, history.Lock, nil)
		l, err := m.Lock(ctx)
		cancel()
		w.granted(op, holding(l), err)
		if err != nil {
			continue
		}
		w.progresses(l)
	}
}

func (w *worker) progresses(l *mutex.Lock) {
	defer w.watchLoss(Overdue, l)()
	w.write(Overdue, l)
	hung := rand.N(4) == 0
	for range 4 {
		op := w.begin(Overdue, history.Progress, func(o *history.Op) {
			o.Key, o.Fence = l.Key(), l.Fence()
		})
		err := l.Progress()
		w.rec.End(op, outcome(err), err, nil)
		if err != nil {
			break
		}
		if hung {
			select {
			case <-l.Context().Done():
			case <-w.ctx.Done(): // released below
			}
			break
		}
		w.rest(MaxHold / 4)
	}
	w.release(Overdue, l, l.Unlock)
}
