package election

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/internal/line"
)

// readyTime bounds the check of a candidate whose turn has come, because all others wait for it.
const readyTime = time.Second

// awaitReady returns nil when the candidate may join. Returns ctx's error when ctx ends first, and
// the session's error when the session ends.
func (e *Election) awaitReady(ctx context.Context) error {
	if e.opts.Ready == nil {
		return nil
	}
	for again := (line.Again{}); ; {
		if err := e.line.Check(ctx); err != nil {
			return err
		}
		bound, cancel := e.line.Session.Bound(ctx)
		err := e.opts.Ready(bound)
		cancel()
		if err == nil {
			return nil
		}
		if err := again.Wait(ctx); err != nil {
			return err
		}
	}
}

// readyToLead reports whether a candidate whose turn has come is still ready.
func (e *Election) readyToLead(ctx context.Context, h line.Hold) bool {
	if e.opts.Ready == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	defer context.AfterFunc(h.Context(), cancel)() //nolint:contextcheck // the hold's own life
	return e.opts.Ready(ctx) == nil && h.Err() == nil && ctx.Err() == nil
}
