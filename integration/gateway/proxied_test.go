package gateway_test

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// reverseProxy is Go's reverse proxy in front of a cluster. It forwards a request as it arrives,
// and keeps the connection to etcd, which therefore answers only after the request has ended.
func reverseProxy(t *testing.T, c *etcdtest.Cluster) string {
	t.Helper()
	to := must(url.Parse(c.Endpoints()[0]))(t)
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		FlushInterval: -1,
	})
	t.Cleanup(s.Close)
	return s.URL
}

// TestAWatchIsFastThroughAReverseProxy: a watch is confirmed within 2 s, and an event arrives as
// fast as on a direct connection.
func TestAWatchIsFastThroughAReverseProxy(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ctx := within(t, patience)
		ours := newClient(t, gateway.Config{
			Endpoints: []string{reverseProxy(t, c)}, Namespace: fresh(t) + "/",
		})
		began := time.Now()
		w := must(ours.Watch(ctx, "k", gateway.Prefix()))(t)
		stood := time.Since(began)
		if got := ours.Endpoints()[0].WatchMode; got != gateway.WatchModeFinite {
			t.Errorf("the mode is %q", got)
		}
		if stood > 2*time.Second {
			t.Errorf("the watch stood after %v", stood)
		}
		got := make(chan gateway.Event, 200)
		go func() {
			defer close(got)
			for ev, err := range w.Events() {
				if err != nil {
					return
				}
				got <- ev
			}
		}()
		var lat []time.Duration
		for i := range 100 {
			began := time.Now()
			r := must(ours.Put(ctx, fmt.Sprintf("k%d", i%7), fmt.Append(nil, i)))(t)
			for ev := range got {
				lat = append(lat, time.Since(began))
				if ev.KV.ModRevision != r.Revision {
					t.Fatalf("got revision %d, want %d", ev.KV.ModRevision, r.Revision)
				}
				break
			}
		}
		slices.Sort(lat)
		if p50 := lat[len(lat)/2]; p50 > 100*time.Millisecond {
			t.Errorf("an event comes after %v", p50)
		}
		w.Close()
		for range got {
			t.Error("an event too many")
		}
		recipetest.Figure(t,
			"through httputil.ReverseProxy a watch stood after %v, put to event p50 %v",
			stood.Round(time.Millisecond), lat[len(lat)/2].Round(100*time.Microsecond))
	})
}

// TestManyWatchesShareFewStreamsThroughAReverseProxy: watches that are added one by one share a few
// streams, which are merged while events arrive. Each watch misses nothing.
func TestManyWatchesShareFewStreamsThroughAReverseProxy(t *testing.T) {
	const watches = 200
	ctx := within(t, patience)
	ours := newClient(t, gateway.Config{
		Endpoints: []string{reverseProxy(t, cluster)}, Namespace: fresh(t) + "/",
	})
	all := make([]*gateway.Watcher, watches)
	began := time.Now()
	for i := range watches {
		all[i] = must(ours.Watch(ctx, fmt.Sprint(i)))(t)
		for k := range i%3 + 1 {
			must(ours.Put(ctx, fmt.Sprint(i), fmt.Append(nil, k)))(t)
		}
	}
	made := time.Since(began)
	for i, w := range all {
		must(ours.Put(ctx, fmt.Sprint(i), []byte("last")))(t)
		n := 0
		for ev, err := range w.Events() {
			if err != nil {
				t.Fatal(err)
			}
			if string(ev.KV.Value) == "last" {
				break
			}
			if string(ev.KV.Value) != fmt.Sprint(n) {
				t.Fatalf("watch %d got %s, want %d", i, ev.KV.Value, n)
			}
			n++
		}
		if n != i%3+1 {
			t.Fatalf("watch %d got %d events before the last, want %d", i, n, i%3+1)
		}
	}
	recipetest.Figure(t, "%d watches one by one through httputil.ReverseProxy, with %d puts, in %v",
		watches, 2*watches, made)
}

// TestNoWatchOfALongRequestIsLost: if the connection to etcd's gateway is kept, it loses the rest
// of a request that it has not read before it answers the first create. All watches of a client are
// confirmed soon nevertheless, and no stream is closed for missing answers.
func TestNoWatchOfALongRequestIsLost(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		const watches = 600
		ctx := within(t, patience)
		var broken atomic.Int64
		ours := newClient(t, gateway.Config{
			Endpoints: []string{reverseProxy(t, c)}, Namespace: fresh(t) + "/",
			Hooks: gateway.Hooks{StreamEnded: func(_ string, _ time.Duration, err error) {
				if err != nil {
					broken.Add(1)
				}
			}},
		})
		must(ours.Watch(ctx, "first"))(t) // determines the watch mode
		began := time.Now()
		var stood, got sync.WaitGroup
		for i := range watches {
			stood.Add(1)
			got.Add(1)
			key := fmt.Sprintf("%0100d", i)
			stop := must(ours.WatchFunc(key, func(r gateway.WatchResponse) {
				if r.Created {
					stood.Done()
				}
				for range r.Events {
					got.Done()
				}
			}))(t)
			defer stop()
		}
		stood.Wait()
		all := time.Since(began)
		for i := range watches {
			must(ours.Put(ctx, fmt.Sprintf("%0100d", i), nil))(t)
		}
		got.Wait()
		// Go's proxy itself breaks a stream now and then, while it still forwards the request.
		if all > 2*time.Second || broken.Load() > 1 {
			t.Errorf("%d watches stood after %v, %d streams broke", watches, all, broken.Load())
		}
		recipetest.Figure(t,
			"%d watches at once through httputil.ReverseProxy stood after %v, %d streams broke",
			watches,
			all.Round(time.Millisecond), broken.Load())
	})
}
