package session_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, nil)) }

// short returns options with a time to live that needs AllowShortTTL.
func short(ttl time.Duration) *session.Options {
	return &session.Options{TTL: ttl, AllowShortTTL: true}
}
