package line

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// PutValue replaces the value of a hold's key. Returns [core.ErrNotHeld] when the hold has ended.
// When ctx ends during the request it returns [gateway.ErrUncertain], and calls resolved once the
// session knows the outcome. resolved may be nil.
func (l *Line) PutValue(ctx context.Context, h Hold, value string, resolved func()) error {
	if err := h.Err(); err != nil {
		return NotHeld(err)
	}
	lease := gateway.WithLease(l.Session.Lease())
	out, err := l.Session.Write(ctx, core.Write{
		If:         []gateway.Cmp{h.Guard()},
		Then:       []gateway.Op{gateway.OpPut(h.Key(), []byte(value), lease)},
		OnResolved: resolved,
	})
	switch {
	case errors.Is(err, core.ErrLost) && h.Err() != nil: // else ctx ended with another hold
		return NotHeld(err)
	case err == nil && !out.Applied:
		return core.ErrNotHeld
	}
	return err
}

// NotHeld adds [core.ErrNotHeld] to the reason.
func NotHeld(why error) error { return fmt.Errorf("%w: %w", core.ErrNotHeld, why) }
