package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// fill puts n keys.
func fill(etcd *fakeetcd.Server, n int) {
	for i := range n {
		etcd.Put(fmt.Sprintf("a/%04d", i), "v")
	}
}

func TestCopyFollowsEtcd(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 5)
		c := open(t, etcd, nil)
		exact(t, etcd, c)
		etcd.Put("a/0002", "w")
		etcd.Put("b", "other")
		etcd.Delete("a/0004")
		exact(t, etcd, c)
		if kv, ok := c.Get("b"); ok {
			t.Errorf("Get of another key = %v", kv)
		}
		var keys []string
		for kv := range c.Range("a/000") {
			if keys = append(keys, kv.Key); len(keys) == 2 {
				break
			}
		}
		if strings.Join(keys, " ") != "a/0000 a/0001" {
			t.Errorf("Range = %q", keys)
		}
		for kv := range c.Range("a/1") {
			t.Errorf("Range of nothing has %v", kv)
		}
	})
}

// TestLoadAtOneRevision: keys that change between the pages of a load are loaded as they were at
// the revision of the first page.
func TestLoadAtOneRevision(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 20)
		pages, first := 0, etcd.Revision()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if pages++; c.Path == "/kv/range" && pages == 2 {
				etcd.Put("a/0001", "w")
				etcd.Put("a/0019", "w")
				etcd.Delete("a/0018")
			}
			return c.Apply()
		})
		c, err := cache.Open(t.Context(), etcd.Client(t), "a/", &cache.Options{PageSize: 7})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if pages != 3 {
			t.Errorf("%d pages", pages)
		}
		exact(t, etcd, c)
		if c.Revision() != first+3 {
			t.Errorf("revision %d, want %d", c.Revision(), first+3)
		}
	})
}

// TestLoadWhoseRevisionIsCompacted begins again.
func TestLoadWhoseRevisionIsCompacted(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 20)
		calls := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if calls++; calls == 2 {
				etcd.Put("a/0001", "w")
				etcd.Compact()
			}
			return c.Apply()
		})
		c := open(t, etcd, &cache.Options{PageSize: 7})
		if calls != 5 {
			t.Errorf("%d requests", calls)
		}
		exact(t, etcd, c)
	})
}

func TestSnapshotDoesNotChange(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 3)
		c := open(t, etcd, nil)
		before := c.Snapshot()
		etcd.Put("a/0000", "w")
		etcd.Delete("a/0001")
		synctest.Wait()
		after := c.Snapshot()
		a, _ := before.Get("a/0000")
		b, _ := after.Get("a/0000")
		_, kept := before.Get("a/0001")
		_, deleted := after.Get("a/0001")
		n := 0
		for range before.Range("a/") {
			n++
		}
		if string(a.Value) != "v" || string(b.Value) != "w" || !kept || deleted || n != 3 ||
			before.Len() != 3 || after.Len() != 2 || after.Revision() != before.Revision()+2 {
			t.Errorf("%v, %v, %v, %v, %d", a, b, kept, deleted, n)
		}
	})
}

// TestReadsDoNotAllocate, nor send a request.
func TestReadsDoNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 1000)
		c := open(t, etcd, nil)
		requests := bubble.Count(etcd)
		for name, read := range map[string]func(){
			"Get":          func() { c.Get("a/0500") },
			"Get, none":    func() { c.Get("a/x") },
			"Len":          func() { c.Len() },
			"Snapshot":     func() { c.Snapshot().Get("a/0500") },
			"WaitRevision": func() { c.Revision() },
			"Range": func() {
				n := 0
				for kv := range c.Range("a/09") {
					n += len(kv.Value)
				}
				if n != 100 {
					t.Errorf("%d keys", n)
				}
			},
		} {
			if n := testing.AllocsPerRun(100, read); n > 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
		if n := requests.Load(); n > 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestTooLarge: the size is limited at the load, and later.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 10)
		opts := &cache.Options{MaxBytes: 10*(128+7) - 1}
		_, err := cache.Open(t.Context(), etcd.Client(t), "a/", opts)
		if !errors.Is(err, cache.ErrTooLarge) {
			t.Errorf("Open = %v", err)
		}
		opts.MaxBytes++
		c := open(t, etcd, opts)
		etcd.Put("a/0003", "x")
		etcd.Delete("a/0000")
		etcd.Put("a/new0", "x")
		f := follow(t.Context(), t, c.Snapshot(), 0)
		exact(t, etcd, c)
		etcd.Put("a/0003", "xy")
		<-f.done
		err = c.WaitRevision(t.Context(), etcd.Revision()+1)
		for _, err := range []error{f.err, err, c.Health().Err} {
			if !errors.Is(err, cache.ErrTooLarge) {
				t.Errorf("the error is %v", err)
			}
		}
		synctest.Wait()
		if n := etcd.Watches(); n != 0 {
			t.Errorf("%d watches", n)
		}
	})
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	for _, opts := range []cache.Options{{MaxBytes: -1}, {PageSize: -1}, {CheckInterval: -1}} {
		if _, err := cache.Open(t.Context(), client, "a/", &opts); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Open = %v", err)
		}
	}
	if _, err := cache.Open(t.Context(), nil, "a/", nil); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("Open without a client = %v", err)
	}
}

// TestOpenReturnsWhenItsContextEnds also if etcd does not answer.
func TestOpenReturnsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		etcd.Freeze()
		begun := time.Now()
		_, err := cache.Open(bubble.Within(t, time.Second), c, "a/", nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("Open = %v after %v", err, time.Since(begun))
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 2)
		c := open(t, etcd, nil)
		f := follow(t.Context(), t, c.Snapshot(), 0)
		c.Close()
		c.Close()
		<-f.done
		err := c.WaitRevision(t.Context(), etcd.Revision()+1)
		for _, err := range []error{f.err, err, c.Health().Err} {
			if !errors.Is(err, cache.ErrClosed) {
				t.Errorf("the error is %v", err)
			}
		}
		exact(t, etcd, c)
	})
}

// TestThePageMayBeTheLargestNumber of keys: one request reads all.
func TestThePageMayBeTheLargestNumber(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.Put("config/a", "1")
		opts := &cache.Options{PageSize: math.MaxInt}
		c, err := cache.Open(bubble.Within(t, time.Minute), etcd.Client(t), "config/", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if c.Len() != 1 {
			t.Errorf("%d keys", c.Len())
		}
	})
}
