// Package etcdtest starts real etcd clusters for tests.
//
// # Usage
//
// The package wraps package etcdproc. Its functions report failures to the test and close
// everything at its end.
//
// # Concurrency
//
// A Cluster is safe for concurrent use like an etcdproc.Cluster.
package etcdtest

import (
	"context"
	"errors"
	"os"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// logLines is the number of lines of each member's log that a failed test prints.
const logLines = 40

// A Cluster is an etcd cluster for tests. Concurrent use is as for etcdproc.Cluster.
type Cluster struct {
	*etcdproc.Cluster
}

// Start starts a cluster like etcdproc.Start and closes it at the end of the test. Its data is in
// the test's temporary directory, unless options name one. If the test fails, the end of each
// member's log is printed. Start skips the test if the version is not installed and ETCD_VERSIONS
// is empty. It fails the test at other errors.
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

// ClientV3 returns a client like NewClientV3 and closes it at the end of the test. It fails the
// test at an error.
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

// FindLeader returns the member that leads the cluster. If there is none it waits for one. It fails
// the test if the test's context ends, or a minute passes, before that.
func (c *Cluster) FindLeader(tb testing.TB) *etcdproc.Member {
	tb.Helper()
	m, err := c.Leader(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return m
}
