package shard_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/shard"
)

func TestOwner(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 2)
		f.start("a", shard.Options{Member: member.Options{Value: "10.0.0.7"}})
		f.start("b", shard.Options{Member: member.Options{Value: "10.0.0.8"}})
		time.Sleep(time.Second)
		f.want("a 1, b 1")
		c, ctx := etcd.Client(t), bubble.Within(t, time.Minute)
		var values strings.Builder
		for s := range 2 {
			o, err := shard.Owner(ctx, c, group, s)
			if err != nil || o.Shard != s || o.Fence != f.fences[s] || o.Member.ID != f.running[s] {
				t.Errorf("shard %d: %+v, %v", s, o, err)
			}
			values.WriteString(o.Member.Value)
		}
		if len(values.String()) != 16 {
			t.Errorf("values %q", values.String())
		}
		etcd.Put(member.KeyOf(group, "a"), "junk") // until a puts it back
		if _, err := shard.Owner(ctx, c, group, 2); !errors.Is(err, shard.ErrNoOwner) {
			t.Errorf("Owner = %v", err)
		}
		_, minus := shard.Owner(ctx, c, group, -1)
		_, noGroup := shard.Owner(ctx, c, "", 0)
		_, noClient := shard.Owner(ctx, nil, group, 0)
		for _, err := range []error{minus, noGroup, noClient} {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Error(err)
			}
		}
	})
}

// observe observes the group until the end of the test, and returns the last view.
func observe(t *testing.T, c *gateway.Client) (last func() shard.View) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	views, done := make(chan shard.View, 10_000), make(chan struct{})
	go func() {
		defer close(done)
		shown := int64(-1)
		for v, err := range shard.Observe(ctx, c, group) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
			if v.Revision <= shown {
				t.Errorf("revision %d after %d", v.Revision, shown)
			}
			shown = v.Revision
			views <- v
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() (v shard.View) {
		synctest.Wait()
		for {
			select {
			case v = <-views:
			default:
				return v
			}
		}
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 6)
		last := observe(t, etcd.Client(t))
		if v := last(); len(v.Holders) != 0 || v.Revision == 0 {
			t.Errorf("%+v", v)
		}
		f.start("a", shard.Options{Member: member.Options{Value: "x"}})
		stop := f.start("b", shard.Options{})
		time.Sleep(time.Second)
		v := last()
		for s, h := range v.Holders {
			if h == nil || h.Member.ID != f.running[s] || h.Fence != f.fences[s] ||
				v.Assigned[s] != h.Member.ID || h.Member.ID == "a" && h.Member.Value != "x" {
				t.Errorf("shard %d: %+v, assigned to %q", s, h, v.Assigned[s])
			}
		}
		etcd.BreakWatches(true)
		etcd.Compact()
		go func() { _ = stop() }()
		time.Sleep(2 * time.Second)
		etcd.BreakWatches(false)
		time.Sleep(10 * time.Second)
		v = last()
		for s, h := range v.Holders {
			if h == nil || h.Member.ID != "a" || v.Assigned[s] != "a" {
				t.Errorf("shard %d: %+v, assigned to %q", s, h, v.Assigned[s])
			}
		}
		_ = stop()
	})
}

// TestChaos: keys, leases, answers and streams are lost at random. No write of an owner follows one
// of a later owner, and in the end each shard has one.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		r := rand.New(rand.NewPCG(seed, 0))
		f := newFleet(t, etcd, 12)
		f.chaos = true
		ids := []string{"a", "b", "c"}
		stops := map[string]func() error{}
		for _, id := range ids {
			stops[id] = f.start(id, shard.Options{DrainTimeout: 2 * time.Second})
		}
		for range 100 {
			id := ids[r.IntN(len(ids))]
			switch r.IntN(6) {
			case 0:
				etcd.Revoke(f.leaseOf(id))
			case 1:
				if keys := etcd.Keys(group + "//shards/"); len(keys) > 0 {
					etcd.Delete(keys[r.IntN(len(keys))])
				}
			case 2:
				etcd.BreakWatches(false)
				etcd.Compact()
			case 3:
				n := r.IntN(20)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					a := c.Apply()
					if c.N == n {
						return fakeetcd.Lost
					}
					return a
				})
			case 4:
				_ = stops[id]()
				stops[id] = f.start(id, shard.Options{DrainTimeout: 2 * time.Second})
			case 5:
				if keys := etcd.Keys(group + "//leader/"); len(keys) > 0 {
					etcd.Delete(keys[0])
				}
			}
			time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
		}
		etcd.Script(nil)
		time.Sleep(30 * time.Second)
		f.want("a 4, b 4, c 4")
	})
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}
