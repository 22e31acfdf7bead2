package line

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Again paces a loop that repeats because the settings of a line differ from the ones it needs. The
// first repetitions have no pause, because declaring settings takes them. More repetitions mean
// that another program keeps changing the settings. An Again is not safe for concurrent use.
type Again struct {
	tries int
	pause time.Duration
}

// Wait returns nil when the loop may repeat. Returns ctx's error when ctx ends first.
func (a *Again) Wait(ctx context.Context) error {
	if a.tries++; a.tries <= freeRepeats {
		return nil
	}
	a.pause = min(max(2*a.pause, minRepeatPause), maxRepeatPause)
	t := time.NewTimer(a.pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// Declaring calls try until it returns no [*RefusedError]. After one it calls declare with the
// responses, to compare the settings with the needed ones or to declare them. A RefusedError
// without responses only repeats try. Returns the error of try or declare, or ctx's error.
func Declaring(
	ctx context.Context, declare func(context.Context, []gateway.OpResponse) error,
	try func() error,
) error {
	for again := (Again{}); ; {
		err := try()
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok {
			return err
		}
		if refused.Responses != nil {
			if err := declare(ctx, refused.Responses); err != nil {
				return err
			}
		}
		if err := again.Wait(ctx); err != nil {
			return err
		}
	}
}

// DeclaringTxn applies a transaction whose If compares the settings and whose Else reads them, see
// [Declaring].
func (l *Line) DeclaringTxn(
	ctx context.Context, declare func(context.Context, []gateway.OpResponse) error, t gateway.Txn,
) error {
	return Declaring(ctx, declare, func() error {
		resp, err := l.Session.Txn(ctx, t)
		if err == nil && !resp.Succeeded { // without responses if only the branch is known
			err = &RefusedError{resp.Responses}
		}
		return err
	})
}
