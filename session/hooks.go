package session

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
)

// Hooks report events of a session and its holds. Each may be nil. Renewed, Suspect and Recovered
// run one after the other in a goroutine of the session, Lost, Waiting and HoldEnded in goroutines
// of their own, Acquired in the goroutine of the call. A hook that blocks delays only the hooks
// after it and the session's Close, which waits for them: no hook may close the session.
//
// A hook must not panic, because the library does not recover. In a goroutine of the session the
// panic ends the program. In a goroutine of the caller it ends the call; if Acquired panics, the
// hold is released.
type Hooks struct {
	// Renewed is called when a renewal was acknowledged, with the time since it was sent. For
	// renewals that failed see [gateway.Hooks].
	Renewed func(took time.Duration)
	// Suspect is called when half the time to live has passed without an acknowledged renewal. No
	// call returns a new hold until Recovered.
	Suspect func()
	// Recovered is called when a renewal was acknowledged after Suspect.
	Recovered func()
	// Lost is called when the session has ended, with the cause of its context. It is not called
	// for Close and Orphan.
	Lost func(cause error)

	// Waiting is called when a call has waited in a line for Options.WaitingAfter, and again after
	// pauses that double, with the context of the call, its place in the line, and the time that it
	// has waited. A call for a cached lock, see package mutex, has no key and no fence while it waits.
	// The idle replicas of a schedule are not blocked and not reported, and neither are the members
	// of package shard that would lead. A member that waits for a shard is.
	Waiting func(ctx context.Context, h HoldInfo, waited time.Duration)
	// Acquired is called when a hold was granted, with the context of the call and the time that it
	// waited. The holds of all recipes are reported, except for the messages of a queue.
	Acquired func(ctx context.Context, h HoldInfo, waited time.Duration)
	// HoldEnded is called when such a hold has ended, with the time that it was held. cause is nil
	// when the hold was released, and otherwise the cause of its context.
	HoldEnded func(h HoldInfo, held time.Duration, cause error)
}

// HoldInfo describes a hold to [Hooks].
type HoldInfo struct {
	// Kind is "mutex", "election", "semaphore", "barrier", "once", "cron" (the turn of a replica),
	// "tick", "shard" or "shard leader".
	Kind  string
	Name  string // as given to the recipe; of a shard, with the path of its line
	Key   string // see [Hold]
	Fence int64  // see [Hold]
}

func (h *Hooks) core() core.Hooks {
	out := core.Hooks{Renewed: h.Renewed, Suspect: h.Suspect, Recovered: h.Recovered, Lost: h.Lost}
	if waiting := h.Waiting; waiting != nil {
		out.Waiting = func(ctx context.Context, i core.HoldInfo, waited time.Duration) {
			waiting(ctx, HoldInfo(i), waited)
		}
	}
	if acquired := h.Acquired; acquired != nil {
		out.Acquired = func(ctx context.Context, i core.HoldInfo, waited time.Duration) {
			acquired(ctx, HoldInfo(i), waited)
		}
	}
	if ended := h.HoldEnded; ended != nil {
		out.HoldEnded = func(i core.HoldInfo, held time.Duration, cause error) {
			ended(HoldInfo(i), held, cause)
		}
	}
	return out
}
