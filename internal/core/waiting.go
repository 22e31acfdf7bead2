package core

import (
	"context"
	"sync"
	"time"
)

// ObserveWait reports a member that waits to the hooks and the log, after Config.WaitingAfter and
// again after pauses that double, until done is called. It sends no request.
func (s *Session) ObserveWait(ctx context.Context, place HoldInfo) (done func()) {
	pause := s.opt.WaitingAfter
	if pause <= 0 {
		return func() {}
	}
	asked := time.Now()
	var mu sync.Mutex // guards the variables below, and pause
	over := false
	mu.Lock()
	defer mu.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		s.Background(func(context.Context) { s.notifyWaiting(ctx, place, time.Since(asked)) })
		timer.Reset(pause)
		pause *= 2
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

func (s *Session) notifyWaiting(ctx context.Context, place HoldInfo, waited time.Duration) {
	if s.opt.Hooks.Waiting != nil {
		s.opt.Hooks.Waiting(ctx, place, waited)
	}
	s.opt.Logger.WarnContext(ctx, "still_waiting", "kind", place.Kind,
		"name", place.Name, "key", place.Key, "fence", place.Fence, "waited", waited)
}
