package load

import (
	"math/rand/v2"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// cachers is the number of goroutines of a session that share the cached key.
const cachers = 3

// caches acquires a lock whose key the session keeps. The fence of such a lock must not be read,
// because the key is then not passed on, so the token of the call stands for the hold. One holder
// in ten reads the fence.
func (w *worker) caches() {
	m := mutex.New(w.s, Cached, &mutex.Options{Cache: true})
	for w.rest(10 * pace) {
		ctx, cancel := w.patience(16)
		op := w.begin(Cached, history.Lock, nil)
		hold := op.Token()
		w.rec.Amend(op, func(o *history.Op) { o.Key = hold })
		l, err := m.Lock(ctx)
		cancel()
		w.rec.End(op, got(err), err, nil)
		if err == nil {
			w.underCached(hold, l)
		}
	}
}

func (w *worker) underCached(hold string, l *mutex.Lock) {
	defer w.watchLossOf(Cached, l, func(o *history.Op) { o.Key = hold })()
	switch rand.N(10) {
	case 0:
		w.writeCached(hold, l, l.Fence())
	case 1, 2:
		w.writeCached(hold, l, 0)
	}
	ctx, cancel := w.finish()
	defer cancel()
	op := w.begin(Cached, history.Unlock, func(o *history.Op) { o.Key = hold })
	err := l.Unlock(ctx)
	w.rec.End(op, outcome(err), err, nil)
}

// writeCached makes a guarded write. fence is 0 if the holder has not read it.
func (w *worker) writeCached(hold string, h session.Hold, fence int64) {
	op := w.begin(Cached, history.Write, func(o *history.Op) { o.Key, o.Fence = hold, fence })
	ctx, cancel := w.finish()
	defer cancel()
	put := gateway.OpPut(history.ValueKey(Cached), []byte(history.Guarded(fence, op.Token())))
	resp, err := h.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}})
	w.rec.End(op, outcome(err), err, func(o *history.Op) {
		if err == nil {
			o.Revision = resp.Revision
		}
	})
}
