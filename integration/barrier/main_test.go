// Package barrier_test tests the barriers on real etcd.
package barrier_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	members    = recipetest.Members
)

func TestMain(m *testing.M) { cluster.Main(m) }

// newSession returns a session that is closed at the end of the test.
func newSession(tb testing.TB, c *gateway.Client) *session.Session {
	tb.Helper()
	return recipetest.NewSession(tb, c, &session.Options{TTL: time.Minute})
}

// plain returns a session on the shared cluster with its own client.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	return cluster.NewSession(tb, &session.Options{TTL: time.Minute})
}

func several(tb testing.TB, n int) []*session.Session {
	tb.Helper()
	s := make([]*session.Session, n)
	for i := range s {
		s[i] = plain(tb)
	}
	return s
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// soon runs a call in a goroutine and returns a channel that receives its error.
func soon(call func() error) chan error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	return done
}

// waits fails the test if a call of the client has returned by the time at which the client has
// received all events so far.
func waits(tb testing.TB, c *gateway.Client, done chan error, what string) {
	tb.Helper()
	recipetest.Marked(tb, c)
	select {
	case err := <-done:
		tb.Errorf("%s did not wait: %v", what, err)
		done <- err
	default:
	}
}
