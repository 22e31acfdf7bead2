package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, nil)) }

// open makes a session that is closed at the end of the test, with a client of its own.
func open(t *testing.T, etcd *fakeetcd.Server, opts *session.Options) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), etcd.Client(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // some tests leave the server in no state to answer
	})
	synctest.Wait()
	return s
}

// within gives a context that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// short gives options with a time to live that programs must ask for.
func short(ttl time.Duration) *session.Options {
	return &session.Options{TTL: ttl, AllowShortTTL: true}
}
