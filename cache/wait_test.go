package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

func TestWaitRevisionOfAnOwnWrite(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := open(t, etcd, nil)
		writer := etcd.Client(t)
		for range 100 {
			put, err := writer.Put(t.Context(), "a/x", nil)
			if err == nil {
				err = c.WaitRevision(t.Context(), put.Revision)
			}
			if kv, _ := c.Get("a/x"); err != nil || kv.ModRevision != put.Revision {
				t.Fatalf("%v, %v", kv, err)
			}
		}
	})
}

// TestWaitRevisionOfAnotherKey: the cache has no event of the revision.
func TestWaitRevisionOfAnotherKey(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 3)
		c := open(t, etcd, nil)
		requests := bubble.Count(etcd)
		etcd.Put("b", "other")
		if err := c.WaitRevision(bubble.Within(t, 5*time.Second), etcd.Revision()); err != nil {
			t.Error(err)
		}
		if requests.Load() != 0 {
			t.Errorf("%d requests although the watch reports its progress", requests.Load())
		}
		exact(t, etcd, c)
	})
}

// TestWaitRevisionWithoutProgress: the watch is cut, and reads show whether the copy is complete.
func TestWaitRevisionWithoutProgress(t *testing.T) {
	t.Parallel()
	late := context.DeadlineExceeded
	for name, tt := range map[string]struct {
		change func(etcd *fakeetcd.Server)
		want   error
	}{
		"another key":      {func(e *fakeetcd.Server) { e.Put("b", "other") }, nil},
		"came and went":    {func(e *fakeetcd.Server) { e.Put("a/x", ""); e.Delete("a/x") }, nil},
		"changed":          {func(e *fakeetcd.Server) { e.Put("a/0000", "w") }, late},
		"new":              {func(e *fakeetcd.Server) { e.Put("a/x", "w") }, late},
		"deleted":          {func(e *fakeetcd.Server) { e.Delete("a/0000") }, late},
		"replaced":         {func(e *fakeetcd.Server) { e.Delete("a/0000"); e.Put("a/x", "") }, late},
		"of the future":    {func(*fakeetcd.Server) {}, late},
		"etcd is silent":   {func(e *fakeetcd.Server) { e.Put("b", ""); e.Freeze() }, late},
		"answer with less": {func(e *fakeetcd.Server) { e.Delete("a/0002"); e.Delete("a/0001") }, late},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				fill(etcd, 3)
				c := open(t, etcd, nil)
				etcd.BreakWatches(true)
				synctest.Wait()
				tt.change(etcd)
				revision := etcd.Revision()
				if name == "of the future" {
					revision++
				}
				begun := time.Now()
				err := c.WaitRevision(bubble.Within(t, 5*time.Second), revision)
				if !errors.Is(err, tt.want) || time.Since(begun) > 5*time.Second {
					t.Errorf("WaitRevision = %v after %v", err, time.Since(begun))
				}
				etcd.Thaw()
				etcd.BreakWatches(false)
				time.Sleep(time.Minute)
				exact(t, etcd, c)
				etcd.Put("a/x", "later")
				exact(t, etcd, c)
			})
		})
	}
}

// TestHealth: checks show an outage, how long it has lasted, and its end.
func TestHealth(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := open(t, etcd, &cache.Options{CheckInterval: time.Second})
		time.Sleep(time.Minute)
		synctest.Wait()
		if h := c.Health(); h.Err != nil || time.Since(h.Current) > 2*time.Second ||
			h.Latest != h.Revision || !h.Since.IsZero() {
			t.Errorf("Health = %+v", h)
		}
		begun := time.Now()
		etcd.BreakWatches(true)
		etcd.Put("a/x", "w")
		time.Sleep(time.Minute)
		if h := c.Health(); h.Err == nil || h.Latest != h.Revision+1 ||
			time.Since(h.Since) < 55*time.Second || h.Current.After(begun) {
			t.Errorf("Health = %+v", h)
		}
		etcd.BreakWatches(false)
		time.Sleep(time.Minute)
		if h := c.Health(); h.Err != nil || h.Latest != h.Revision || h.Current.Before(begun) {
			t.Errorf("Health = %+v", h)
		}
	})
}

// TestPermissionRevokedForAWhile: the cache goes on when the user may read again.
func TestPermissionRevokedForAWhile(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 3)
		c := open(t, etcd, nil)
		f := follow(t.Context(), t, c.Snapshot(), 0)
		etcd.DenyWatches(true)
		etcd.Put("a/0000", "w")
		time.Sleep(10 * time.Minute)
		if h := c.Health(); !errors.Is(h.Err, gateway.ErrPermissionDenied) {
			t.Errorf("Health = %+v", h)
		}
		f.want()
		etcd.DenyWatches(false)
		time.Sleep(time.Minute)
		exact(t, etcd, c)
		f.want("put a/0000")
		if h := c.Health(); h.Err != nil {
			t.Errorf("Health = %+v", h)
		}
		c.Close()
		<-f.done
	})
}

// TestCloseEndsAWaitWhileEtcdIsSilent: the waiter has asked etcd when the cache is closed.
func TestCloseEndsAWaitWhileEtcdIsSilent(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := open(t, etcd, nil)
		etcd.Freeze()
		defer etcd.Thaw()
		ctx := bubble.Within(t, time.Minute)
		done := make(chan error, 1)
		go func() { done <- c.WaitRevision(ctx, etcd.Revision()+1) }()
		time.Sleep(5 * time.Second)
		c.Close()
		closed := time.Now()
		if err := <-done; !errors.Is(err, cache.ErrClosed) || time.Since(closed) > 0 {
			t.Errorf("WaitRevision = %v, %v after Close", err, time.Since(closed))
		}
	})
}
