package session_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, nil)) }

// within returns a context that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// short returns options with a time to live that needs AllowShortTTL.
func short(ttl time.Duration) *session.Options {
	return &session.Options{TTL: ttl, AllowShortTTL: true}
}
