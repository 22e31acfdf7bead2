package core

import (
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
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

func lost(cause error) error { return fmt.Errorf("session: %w: %w", ErrLost, cause) }

// uncertain marks the error of a write of which an earlier try may have been applied.
func uncertain(err error) error {
	if errors.Is(err, gateway.ErrUncertain) {
		return err
	}
	return fmt.Errorf("%w: %w", gateway.ErrUncertain, err)
}
