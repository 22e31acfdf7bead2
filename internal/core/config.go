package core

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Config is session.Options with the defaults filled in. Only hooks may be nil.
type Config struct {
	TTL          time.Duration
	Name         string
	ParentKey    string
	RecordPrefix string
	Logger       *slog.Logger
	Hooks        Hooks
	WaitingAfter time.Duration
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("session: %w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}
