package core

import (
	"context"
	"sync"
	"time"
)

// waiting reports that a call still waits. Each report doubles the pause before the next.
type waiting struct {
	s     *Session
	ctx   context.Context //nolint:containedctx // of the call, for the hook
	place HoldInfo
	asked time.Time

	mu    sync.Mutex
	timer *time.Timer
	pause time.Duration
	over  bool
}

// ObserveWait reports a member that waits to the hooks and the log, after Config.WaitingAfter and
// again after pauses that double, until done is called. It sends no request.
func (s *Session) ObserveWait(ctx context.Context, place HoldInfo) (done func()) {
	after := s.opt.WaitingAfter
	if after <= 0 {
		return func() {}
	}
	w := &waiting{s: s, ctx: ctx, place: place, asked: time.Now(), pause: after}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(after, w.due)
	return w.done
}

func (w *waiting) due() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.s.Background(func(context.Context) { w.report() })
	w.timer.Reset(w.pause)
	w.pause *= 2
}

func (w *waiting) report() {
	waited := time.Since(w.asked)
	if hook := w.s.opt.Hooks.Waiting; hook != nil {
		hook(w.ctx, w.place, waited)
	}
	w.s.opt.Logger.WarnContext(w.ctx, "still_waiting", "kind", w.place.Kind,
		"name", w.place.Name, "key", w.place.Key, "fence", w.place.Fence, "waited", waited)
}

func (w *waiting) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}
