package faultproxy_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// member is the etcd member that all tests of this package use.
var member *etcdproc.Member

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(etcdtest.Shared(m, &etcdproc.Options{UnsafeNoFsync: true},
		func(c *etcdtest.Cluster) {
			member = c.Member(0)
		}))
}
