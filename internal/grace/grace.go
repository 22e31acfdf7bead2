// Package grace gives calls that release something a deadline of their own if their context has
// already ended. Its function is safe for concurrent use.
package grace

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Time is the deadline of such a call. A healthy cluster answers in milliseconds, and the caller
// may be about to exit.
const Time = time.Second

// Of returns ctx. If ctx has ended, it returns a context with ctx's values that ends after [Time]
// with ctx's cause, because a program whose context has ended must still release its holds.
func Of(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(context.WithoutCancel(ctx), Time, ctxerr.Of(ctx))
}
