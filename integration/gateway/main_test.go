// Package gateway_test holds the client to what it says on real etcd, with clientv3 as the second opinion.
package gateway_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// cluster is one member that all tests of the package share, as long as they do it no harm.
var cluster *etcdtest.Cluster

// What the tests of recipes share as well.
var (
	within     = recipetest.Within
	newClient  = recipetest.NewClient
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
)

const patience = recipetest.Patience

func TestMain(m *testing.M) {
	server := recipetest.Server(etcdproc.Versions()[0])
	goleak.VerifyTestMain(etcdtest.Shared(m, server, func(c *etcdtest.Cluster) { cluster = c }))
}

// must is for preparations.
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
