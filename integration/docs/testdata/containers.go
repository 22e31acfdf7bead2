package block

import (
	"context"

	"github.com/holdfast-go/holdfast/session"
)

// What the pieces of docs/howto/testcontainers.md take for granted.
func nightly(context.Context, *session.Session, func(context.Context) error) error { return nil }
