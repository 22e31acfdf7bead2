package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Sentinels, documented in package session.
var (
	ErrLost             = errors.New("lost")
	ErrExpired          = errors.New("lease not renewed in time")
	ErrRevoked          = errors.New("lease revoked or expired at the server")
	ErrKeyDeleted       = errors.New("key removed by somebody else")
	ErrOverdue          = errors.New("held for longer than its limit")
	ErrResumedElsewhere = errors.New("session resumed by another process")
	ErrClosed           = errors.New("session closed")
	ErrReleased         = errors.New("released")
	ErrNotHeld          = errors.New("not held")
	ErrCorrupt          = errors.New("corrupt")
)

// Invalid returns a [gateway.ErrInvalid].
func Invalid(format string, args ...any) error {
	return fmt.Errorf("session: %w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}

func lost(cause error) error { return fmt.Errorf("session: %w: %w", ErrLost, cause) }

// uncertain marks the error of a write of which an earlier try may have been applied.
func uncertain(err error) error {
	if errors.Is(err, gateway.ErrUncertain) {
		return err
	}
	return fmt.Errorf("%w: %w", gateway.ErrUncertain, err)
}

// Certain returns the error of a request that prepares a write, for example by a lease, for a
// caller that has not sent the write. So it does not match [gateway.ErrUncertain], and it matches
// all other errors that err matches.
func Certain(ctx context.Context, err error) error {
	switch {
	case !errors.Is(err, gateway.ErrUncertain):
		return err
	case ctx.Err() != nil:
		return ctxerr.Of(ctx)
	}
	return certainError{err}
}

type certainError struct{ err error }

func (e certainError) Error() string { return e.err.Error() }

func (e certainError) Is(target error) bool {
	return target != gateway.ErrUncertain && errors.Is(e.err, target)
}

func (e certainError) As(target any) bool { return errors.As(e.err, target) }
