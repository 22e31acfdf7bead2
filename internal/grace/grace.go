// Package grace gives the calls that give something back a time of their own where their context has ended before.
package grace

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Time is how long such a call may take. A healthy cluster needs milliseconds; the caller is about to exit.
const Time = time.Second

// Of returns ctx, or, if that has ended, a context with its values that ends after Time, for the cause that ctx ended for.
// A program that is told to stop by its context still has to free what it holds.
func Of(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(context.WithoutCancel(ctx), Time, ctxerr.Of(ctx))
}
