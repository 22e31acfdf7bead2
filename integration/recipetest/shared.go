package recipetest

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/session"
)

// Shared is one member that the tests of a package share if they do not disturb it. It runs while
// the tests do, after which the methods are safe for concurrent use:
//
//	var cluster recipetest.Shared
//
//	func TestMain(m *testing.M) { cluster.Main(m) }
type Shared struct{ *etcdtest.Cluster }

// Main runs the tests of a package, or the child process of a test, and looks for leaks.
func (s *Shared) Main(m etcdtest.Runner) {
	reexec.Main()
	goleak.VerifyTestMain(etcdtest.Shared(m, Server(etcdproc.Versions()[0]),
		func(c *etcdtest.Cluster) { s.Cluster = c }))
}

// NewClient returns a client like the function NewClient, of the shared member if cfg names no
// endpoints.
func (s *Shared) NewClient(tb testing.TB, cfg gateway.Config) *gateway.Client {
	tb.Helper()
	if len(cfg.Endpoints) == 0 {
		cfg.Endpoints = s.Endpoints()
	}
	return NewClient(tb, cfg)
}

// NewSession returns a session with a client of its own, both on the shared member.
func (s *Shared) NewSession(tb testing.TB, opts *session.Options) *session.Session {
	tb.Helper()
	return NewSession(tb, s.NewClient(tb, gateway.Config{}), opts)
}
