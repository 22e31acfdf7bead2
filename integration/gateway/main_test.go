// Package gateway_test tests the client on real etcd, and compares it with clientv3.
package gateway_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// cluster is one member that all tests of the package share unless they would harm it.
var cluster *etcdtest.Cluster

// Short names for helpers that the tests of recipes use too.
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

// forEachVersion runs a test on a cluster of every version. For the version of the shared cluster
// it uses that.
func forEachVersion(t *testing.T, test func(t *testing.T, c *etcdtest.Cluster)) {
	t.Helper()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		if version == cluster.Version() {
			test(t, cluster)
			return
		}
		test(t, etcdtest.Start(t, recipetest.Server(version)))
	})
}

// both returns a client of this library, in a namespace of its own, and clientv3, which sees
// everything.
func both(
	t *testing.T, c *etcdtest.Cluster,
) (ours *gateway.Client, ns string, theirs *clientv3.Client) {
	t.Helper()
	ns = fresh(t) + "/"
	return newClient(t, gateway.Config{Endpoints: c.Endpoints(), Namespace: ns}), ns, c.ClientV3(t)
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
