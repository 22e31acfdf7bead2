// Package session_test holds the end of a session to its promises on real etcd, with all recipes.
package session_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

// cluster is one member that all tests of the package share.
var cluster *etcdtest.Cluster

// What all recipes' tests share.
var (
	figure  = recipetest.Figure
	within  = recipetest.Within
	fresh   = recipetest.Fresh
	members = recipetest.Members
)

func TestMain(m *testing.M) {
	if os.Getenv(childShape) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(etcdtest.Shared(m, recipetest.Server(etcdproc.Versions()[0]), func(c *etcdtest.Cluster) { cluster = c }))
}

// plain is a session on the shared cluster.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	c := recipetest.NewClient(tb, gateway.Config{Endpoints: cluster.Endpoints()})
	return recipetest.NewSession(tb, c, nil)
}
