package core

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Config of a session. All fields but the hooks are set; see session.Options.
type Config struct {
	TTL          time.Duration
	Name         string
	ParentKey    string
	RecordPrefix string
	Logger       *slog.Logger
	Hooks        Hooks
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("session: %w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}
