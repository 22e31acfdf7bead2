package session

import (
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
)

// Sentinels for [errors.Is].
var (
	// ErrLost: the hold is gone, or may be gone by now. It wraps one of the causes below.
	ErrLost = errors.New("lost")

	// ErrExpired: no renewal was acknowledged in time. The lease may live on at the server for a moment.
	ErrExpired = errors.New("lease not renewed in time")
	// ErrRevoked: the server no longer has the lease, or the session's record.
	ErrRevoked = errors.New("lease revoked or expired at the server")
	// ErrKeyDeleted: somebody deleted the key of this hold; the session lives, unless it was its lease that was revoked, and
	// word of that comes only now.
	ErrKeyDeleted = errors.New("key removed by somebody else")
	// ErrResumedElsewhere: another process has resumed the session, see [Resume].
	ErrResumedElsewhere = errors.New("session resumed by another process")
	// ErrClosed: the session was closed, or orphaned.
	ErrClosed = errors.New("session closed")

	// ErrReleased is the cause of a hold's context after it was given back.
	ErrReleased = errors.New("released")
	// ErrNotHeld: there was nothing to give back, the hold had ended before.
	ErrNotHeld = errors.New("not held")

	// ErrCorrupt: a recipe read a value that this library does not write from one of its own keys, which the error names. The
	// key stays as it is.
	ErrCorrupt = errors.New("corrupt")
)

func lost(cause error) error { return fmt.Errorf("session: %w: %w", ErrLost, cause) }

// uncertain marks an error of a write whose earlier try may have been applied.
func uncertain(err error) error {
	if errors.Is(err, gateway.ErrUncertain) {
		return err
	}
	return fmt.Errorf("%w: %w", gateway.ErrUncertain, err)
}
