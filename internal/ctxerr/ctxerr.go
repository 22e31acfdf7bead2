// Package ctxerr words the end of a context so that callers can match both its error and its cause.
package ctxerr

import (
	"context"
	"errors"
	"fmt"
)

// Of gives an error that matches ctx.Err and context.Cause. net/http and others report the cause alone
// (golang/go#72898). ctx must have ended.
func Of(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case cause == nil || errors.Is(err, cause):
		return err
	case errors.Is(cause, err):
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
