package gateway_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestAWatchDeliversWhileConnectionsAreReset: while all connections of a client are reset every
// 100 ms, its watch delivers within 2 s, although etcd serves a watch of the past only that often,
// and although the pauses between streams had grown in an outage before.
func TestAWatchDeliversWhileConnectionsAreReset(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		options := recipetest.Server(version)
		options.Members = 3
		three := etcdtest.Start(t, options)
		net := newNetwork(t, three)
		ns := fresh(t) + "/"
		ctx := within(t, 2*time.Minute)
		c := newClient(t, gateway.Config{Endpoints: net.urls, Namespace: ns})
		var heard, longest atomic.Int64
		began := time.Now()
		stop := must(c.WatchFunc("k", func(r gateway.WatchResponse) {
			if now := int64(time.Since(began)); len(r.Events) > 0 {
				longest.Store(max(longest.Load(), now-heard.Swap(now)))
			}
		}))(t)
		defer stop()
		theirs := three.ClientV3(t)
		put := func() { must(theirs.Put(ctx, ns+"k", strconv.FormatInt(heard.Load(), 10)))(t) }
		eventually(t, "an event", func() bool { put(); return heard.Load() > 0 })
		for _, p := range net.proxies {
			must(0, p.Refuse())(t)
			p.Reset()
		}
		recipetest.Pause(t, ctx, 4*time.Second, "outage")
		for _, p := range net.proxies {
			must(0, p.Admit())(t)
		}
		longest.Store(0)
		heard.Store(int64(time.Since(began)))
		for range 80 {
			net.reset()
			put()
			recipetest.Pause(t, ctx, 100*time.Millisecond, "until the next reset")
		}
		longest.Store(max(longest.Load(), int64(time.Since(began))-heard.Load()))
		gap := time.Duration(longest.Load())
		recipetest.Figure(t, "80 resets, longest gap %v", gap.Round(time.Millisecond))
		if gap > 2*time.Second {
			t.Errorf("no event for %v", gap)
		}
	})
}
