package session

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Hooks tell a program about its session and its holds. Each may be nil, and costs nothing then. Renewed, Suspect and
// Recovered run one after the other in a goroutine of the session, Lost and Ended in goroutines of their own, Acquired in
// that of the call. One that blocks delays none but those after it, and the session's Close, which waits for them: none may
// close the session.
//
// A hook must not panic. The library does not recover: in one of its goroutines the panic ends the program. In a goroutine
// of the caller it ends the call; if Acquired panics, the hold is released.
type Hooks struct {
	// Renewed: a renewal was acknowledged, so long after it was sent. Those that fail are attempts of the client, see
	// [gateway.Hooks].
	Renewed func(took time.Duration)
	// Suspect: half the time to live has passed without an acknowledged renewal. No new hold is handed out.
	Suspect func()
	// Recovered: a renewal was acknowledged after Suspect.
	Recovered func()
	// Lost: the session has ended, with the cause that its context has. Not called for Close and Orphan.
	Lost func(cause error)

	// Acquired: a hold was granted, so long after it was asked for, with the context of the call that asked. Locks, terms,
	// permits and members of barriers are holds; the messages of a queue are not told of.
	Acquired func(ctx context.Context, h HoldInfo, waited time.Duration)
	// HoldEnded: a hold that Acquired told of has ended, after so long: it was given back, and cause is nil, or was lost, and
	// cause is what its context has.
	HoldEnded func(h HoldInfo, held time.Duration, cause error)
}

// HoldInfo is a hold as [Hooks] tell of it.
type HoldInfo struct {
	Kind  string // of recipe: "mutex", "election", "semaphore", "barrier"
	Name  string // as given to the recipe
	Key   string // see [Hold.Key]
	Fence int64  // see [Hold.Fence]
}

// ObserveHold is for recipes: it tells the hooks and the log of a hold that was asked for at that time, now and when it ends.
func (s *Session) ObserveHold(ctx context.Context, h *Hold, kind, name string, asked time.Time) {
	hooks, logs := &s.opt.Hooks, s.opt.Logger.Enabled(ctx, slog.LevelInfo)
	if !logs && hooks.Acquired == nil && hooks.HoldEnded == nil {
		return
	}
	now, held := time.Now(), HoldInfo{kind, name, h.Key(), h.Fence()}
	if logs {
		s.opt.Logger.InfoContext(ctx, "hold_acquired", "kind", kind, "key", held.Key, "fence", held.Fence, "waited", now.Sub(asked))
	}
	if hooks.Acquired != nil {
		hooks.Acquired(ctx, held, now.Sub(asked))
	}
	s.notifyHoldEnd(h, held, now) //nolint:contextcheck // the life of the hold, not that of the call
}

// notifyHoldEnd waits for the end of a hold, without a goroutine of its own.
func (s *Session) notifyHoldEnd(h *Hold, held HoldInfo, since time.Time) {
	life := h.Context()
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.bg.Add(1) // until it has ended; Close ends it and waits
	}
	s.mu.Unlock()
	if ended { // meanwhile: Close may wait no more
		s.holdEnded(held, time.Since(since), context.Cause(life))
		return
	}
	context.AfterFunc(life, func() {
		defer s.bg.Done()
		s.holdEnded(held, time.Since(since), context.Cause(life))
	})
}

func (s *Session) holdEnded(h HoldInfo, lasted time.Duration, cause error) {
	if errors.Is(cause, ErrReleased) || errors.Is(cause, ErrClosed) {
		cause = nil
		s.opt.Logger.Info("hold_released", "kind", h.Kind, "key", h.Key, "fence", h.Fence, "held", lasted)
	} else {
		s.opt.Logger.Warn("hold_lost", "kind", h.Kind, "key", h.Key, "fence", h.Fence, "held", lasted, "err", cause)
	}
	if s.opt.Hooks.HoldEnded != nil {
		s.opt.Hooks.HoldEnded(h, lasted, cause)
	}
}
