package listwatch_test

import (
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestWatchOptions: the options of a watch are of one key only, and not of its read.
func TestWatchOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Put("a/x", "")
		k := reducer(t, etcd.Client(t), []string{"a/x", "a/y"})
		k.WatchOptions("a/x", gateway.NoPut())
		k.sync()
		k.exact(etcd)
		etcd.Put("a/x", "")
		etcd.Put("a/y", "")
		etcd.Delete("a/x")
		k.want("list 2", "apply 4", "apply 5")
	})
}
