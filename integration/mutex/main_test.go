// Package mutex_test tests the mutex on real etcd, and with it session and line.
package mutex_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	newSession = recipetest.NewSession
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	pause      = recipetest.Pause
	members    = recipetest.Members
)

func TestMain(m *testing.M) { cluster.Main(m) }

// plain returns a session on the shared cluster.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	return cluster.NewSession(tb, nil)
}

func lock(tb testing.TB, s *session.Session, name string) *mutex.Lock {
	tb.Helper()
	l, err := mutex.New(s, name, nil).Lock(within(tb, 20*time.Second))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func unlock(tb testing.TB, l *mutex.Lock) {
	tb.Helper()
	if err := l.Unlock(within(tb, 20*time.Second)); err != nil {
		tb.Fatal(err)
	}
}
