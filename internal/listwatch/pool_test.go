package listwatch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// TestPool: users share a cache, and an idle one is kept for a while.
func TestPool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		var pool listwatch.Pool[*keys]
		c := etcd.Client(t)
		id := listwatch.ID{Client: c, Kind: "k", Key: "a/"}
		acquire := func(id listwatch.ID) *keys {
			k := pool.Acquire(id, func() *keys { return prefix(t, c) })
			k.sync()
			return k
		}
		const keep = time.Minute
		first := acquire(id)
		other := id
		other.Kind = "other"
		if acquire(id) != first || acquire(other) == first || !pool.InUse(id) {
			t.Error("the caches are not shared by ID")
		}
		pool.Release(first, keep)
		time.Sleep(2 * keep)
		if !pool.InUse(id) || acquire(id) != first {
			t.Error("closed while it had a user")
		}
		pool.Release(first, keep)
		pool.Release(first, keep)
		if pool.InUse(id) {
			t.Error("in use without a user")
		}
		time.Sleep(keep - time.Second)
		if acquire(id) != first || first.reads != 1 {
			t.Errorf("an idle cache is not used again, or was read %d times", first.reads)
		}
		time.Sleep(2 * keep)
		pool.Release(first, keep)
		time.Sleep(keep)
		synctest.Wait()
		if n := etcd.Watches(); n != 1 {
			t.Errorf("%d watches", n)
		}
		second := acquire(id)
		if second == first {
			t.Error("a closed cache is used again")
		}
		pool.Release(second, 0)
		synctest.Wait()
		if n := etcd.Watches(); n != 1 {
			t.Errorf("%d watches", n)
		}
	})
}

// TestPoolReplacesFailed: a new user does not get a cache that has failed. The users of the failed
// one release it as usual.
func TestPoolReplacesFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		var pool listwatch.Pool[*keys]
		c := etcd.Client(t)
		id := listwatch.ID{Client: c, Kind: "k", Key: "a/"}
		acquire := func() *keys { return pool.Acquire(id, func() *keys { return prefix(t, c) }) }
		failed := acquire()
		failed.sync()
		etcd.DenyWatches(true)
		synctest.Wait()
		wantErr(t, failed.goSync(t.Context()), gateway.ErrPermissionDenied)
		etcd.DenyWatches(false)
		next := acquire()
		if next == failed {
			t.Fatal("a failed cache is used again")
		}
		next.sync()
		pool.Release(failed, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !pool.InUse(id) || acquire() != next || etcd.Watches() != 1 {
			t.Error("the release of the failed cache has ended the next")
		}
	})
}
