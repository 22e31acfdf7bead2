// Package etcdtest starts real etcd clusters for tests: it is package etcdproc
// with failures reported to the test and everything closed at its end.
package etcdtest

import (
	"context"
	"errors"
	"os"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// logLines is how much of each member's log a failed test shows.
const logLines = 40

// A Cluster is an etcd cluster that belongs to a test.
type Cluster struct {
	*etcdproc.Cluster
}

// Start starts a cluster as etcdproc.Start does and closes it at the end of the
// test. Data lives in the test's temporary directory. If the test fails, it
// shows the end of each member's log. A version that cannot be had on this
// machine skips the test, unless ETCD_VERSIONS asks for it.
func Start(tb testing.TB, options *etcdproc.Options) *Cluster {
	tb.Helper()
	var o etcdproc.Options
	if options != nil {
		o = *options
	}
	if o.Dir == "" {
		o.Dir = tb.TempDir()
	}
	c, err := etcdproc.Start(tb.Context(), &o)
	if errors.Is(err, etcdproc.ErrNotInstalled) && os.Getenv("ETCD_VERSIONS") == "" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			for _, m := range c.Members() {
				tb.Logf("log of %s:\n%s", m.Name(), m.LogTail(logLines))
			}
		}
	})
	return &Cluster{c}
}

// ForEachVersion runs a test once for every version in etcdproc.Versions.
func ForEachVersion(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	for _, version := range etcdproc.Versions() {
		t.Run("etcd-"+version, func(t *testing.T) { test(t, version) })
	}
}

// ClientV3 returns a client as NewClientV3 does and closes it at the end of the
// test.
func (c *Cluster) ClientV3(tb testing.TB, endpoints ...string) *clientv3.Client {
	tb.Helper()
	client, err := c.NewClientV3(endpoints...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := client.Close(); err != nil && !errors.Is(err, context.Canceled) {
			tb.Error(err)
		}
	})
	return client
}

// FindLeader returns the member that leads the cluster, waiting for one if need
// be.
func (c *Cluster) FindLeader(tb testing.TB) *etcdproc.Member {
	tb.Helper()
	m, err := c.Leader(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return m
}
