// Package mutex_test tests the mutex on real etcd, and with it session and line.
package mutex_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster *etcdtest.Cluster

var (
	figure     = recipetest.Figure
	within     = recipetest.Within
	newSession = recipetest.NewSession
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	pause      = recipetest.Pause
	members    = recipetest.Members
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(etcdtest.Shared(m, recipetest.Server(etcdproc.Versions()[0]),
		func(c *etcdtest.Cluster) {
			cluster = c
		}))
}

// newClient returns a client, of the shared cluster if cfg names no endpoints.
func newClient(tb testing.TB, cfg gateway.Config) *gateway.Client {
	tb.Helper()
	if len(cfg.Endpoints) == 0 {
		cfg.Endpoints = cluster.Endpoints()
	}
	return recipetest.NewClient(tb, cfg)
}

// plain returns a session on the shared cluster.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	return newSession(tb, newClient(tb, gateway.Config{}), nil)
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
