package listwatch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestStartAt: a cache that is complete at a revision needs no read until it has missed events.
func TestStartAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Put("a/x", "")
		etcd.Put("a/x", "")
		k := prefix(t, etcd.Client(t))
		k.StartAt(2)
		k.sync()
		k.want("apply 3")
		etcd.Delete("a/x")
		k.want("apply 4")
		compact(etcd, 1)
		<-k.stale
		k.want("stale")
		k.sync()
		k.want("list 6")
		k.exact(etcd)
		if k.reads != 1 {
			t.Errorf("%d reads", k.reads)
		}
	})
}

func TestStartAtCompacted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Put("a/x", "")
		etcd.Put("a/x", "")
		etcd.Compact()
		k := single(t, etcd.Client(t))
		k.StartAt(1)
		<-k.stale
		k.sync()
		k.want("stale", "list 4")
		k.exact(etcd)
	})
}

// TestSingleKeyNeedsNoRead: an event of the only key is the state of the copy, even if the read is
// refused or late.
func TestSingleKeyNeedsNoRead(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"refused", "late"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				etcd.Put("a/x", "")
				k := single(t, etcd.Client(t))
				if k.afterRead = func() { time.Sleep(time.Second) }; answer == "refused" {
					etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
				}
				done := k.goSync(t.Context())
				etcd.Delete("a/x")
				k.want("apply 3")
				time.Sleep(time.Second)
				if answer == "refused" {
					wantErr(t, done, gateway.ErrPermissionDenied)
				} else {
					wantErr(t, done, nil)
				}
				k.sync()
				k.want() // the read was older
				k.exact(etcd)
			})
		})
	}
}

// TestSeveralKeys: a cache of several keys reads once all of the watches are created.
func TestSeveralKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		watches := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			watches = etcd.Watches()
			return c.Apply()
		})
		k := reducer(t, etcd.Client(t), []string{"a/x", "a/y"})
		k.sync()
		if watches != 2 {
			t.Errorf("%d watches at the read", watches)
		}
		etcd.Put("a/y", "")
		etcd.Put("a/x", "")
		k.want("list 1", "apply 2", "apply 3")
		compact(etcd, 1)
		<-k.stale
		k.want("stale")
		if n := etcd.Watches(); n != 0 { // the other watch ends with the first
			t.Errorf("%d watches", n)
		}
		k.sync()
		k.want("list 5")
		if n := etcd.Watches(); n != 2 {
			t.Errorf("%d watches", n)
		}
	})
}
