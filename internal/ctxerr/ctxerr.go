// Package ctxerr returns errors that match both a context's error and its cause. Its function is
// safe for concurrent use.
package ctxerr

import (
	"context"
	"errors"
	"fmt"
)

// Of returns an error that matches both ctx.Err and context.Cause. Package net/http, for example,
// reports only the cause (golang/go#72898). ctx must have ended.
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
