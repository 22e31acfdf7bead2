// Package session_test checks, on real etcd and with all recipes, how a session ends and how it
// survives changes of certificates and passwords.
package session_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/session"
)

// cluster is one member that all tests of the package share.
var cluster *etcdtest.Cluster

// Names from recipetest.
var (
	figure  = recipetest.Figure
	within  = recipetest.Within
	fresh   = recipetest.Fresh
	members = recipetest.Members
)

func TestMain(m *testing.M) {
	reexec.Main()
	server := recipetest.Server(etcdproc.Versions()[0])
	goleak.VerifyTestMain(etcdtest.Shared(m, server, func(c *etcdtest.Cluster) { cluster = c }))
}

// plain returns a session on the shared cluster.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	c := recipetest.NewClient(tb, gateway.Config{Endpoints: cluster.Endpoints()})
	return recipetest.NewSession(tb, c, nil)
}
