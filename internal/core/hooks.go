package core

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Hooks is documented at session.Hooks.
type Hooks struct {
	Renewed   func(took time.Duration)
	Suspect   func()
	Recovered func()
	Lost      func(cause error)
	Waiting   func(ctx context.Context, h HoldInfo, waited time.Duration)
	Acquired  func(ctx context.Context, h HoldInfo, waited time.Duration)
	HoldEnded func(h HoldInfo, held time.Duration, cause error)
}

// HoldInfo is documented at session.HoldInfo.
type HoldInfo struct {
	Kind, Name, Key string
	Fence           int64
}

// ObserveHold reports a hold to the hooks and the log, now and when it ends. Recipes call it. asked
// is the time at which the hold was requested.
func (s *Session) ObserveHold(ctx context.Context, h *Hold, kind, name string, asked time.Time) {
	hooks, logs := &s.opt.Hooks, s.opt.Logger.Enabled(ctx, slog.LevelInfo)
	if !logs && hooks.Acquired == nil && hooks.HoldEnded == nil {
		return
	}
	now, held := time.Now(), HoldInfo{kind, name, h.key, h.fence}
	if logs {
		s.opt.Logger.InfoContext(ctx, "hold_acquired",
			"kind", kind, "key", held.Key, "fence", held.Fence, "waited", now.Sub(asked))
	}
	if hooks.Acquired != nil {
		hooks.Acquired(ctx, held, now.Sub(asked))
	}
	s.notifyHoldEnd(h, held, now) //nolint:contextcheck // it lasts as long as the hold
}

// notifyHoldEnd reports the end of a hold without a goroutine that waits for it.
func (s *Session) notifyHoldEnd(h *Hold, held HoldInfo, since time.Time) {
	life := h.Context()
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.bg.Add(1) // until the hold has ended; Close ends it and waits
	}
	s.mu.Unlock()
	if ended { // Close may no longer wait
		s.holdEnded(held, time.Since(since), context.Cause(life))
		return
	}
	context.AfterFunc(life, func() {
		defer s.bg.Done()
		//nolint:contextcheck // it is over
		s.holdEnded(held, time.Since(since), context.Cause(life))
	})
}

func (s *Session) holdEnded(h HoldInfo, lasted time.Duration, cause error) {
	if errors.Is(cause, ErrReleased) || errors.Is(cause, ErrClosed) {
		cause = nil
		s.opt.Logger.Info("hold_released",
			"kind", h.Kind, "key", h.Key, "fence", h.Fence, "held", lasted)
	} else {
		_ = awaitRecord(context.Background(), cause) // it is read for 1 s at most
		s.opt.Logger.Warn("hold_lost",
			"kind", h.Kind, "key", h.Key, "fence", h.Fence, "held", lasted, "err", cause)
	}
	if s.opt.Hooks.HoldEnded != nil {
		s.opt.Hooks.HoldEnded(h, lasted, cause)
	}
}
