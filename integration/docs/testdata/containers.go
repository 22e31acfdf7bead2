package block

import (
	"context"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// What the pieces of docs/howto/testcontainers.md take for granted.
var (
	t      *testing.T
	client *gateway.Client
)

func nightly(context.Context, *session.Session, func(context.Context) error) error { return nil }
