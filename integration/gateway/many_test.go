package gateway_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestTenThousandWatchesAreConfirmedSoon: ten thousand watches on one connection are confirmed
// within 3 s, cost less than 100 MB, and each receives its own events. One run of three may fail on
// a busy machine.
func TestTenThousandWatchesAreConfirmedSoon(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		// 3.4 is three times slower once it has held large values
		c := etcdtest.Start(t, recipetest.Server(version))
		for try := 1; ; try++ {
			took := tenThousand(t, c)
			if took < 3*time.Second || t.Failed() {
				return
			}
			if try == 3 {
				t.Fatalf("made in %v", took)
			}
		}
	})
}

func tenThousand(t *testing.T, c *etcdtest.Cluster) (took time.Duration) {
	const watches, makers = 10_000, 100
	var dialled atomic.Int64
	ns := fresh(t) + "/"
	ctx := within(t, patience)
	ours := newClient(t, gateway.Config{
		Endpoints: c.Endpoints(), Namespace: ns,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	})
	theirs := c.ClientV3(t)
	before := memory()
	all := make([]*gateway.Watcher, watches)
	began := time.Now()
	var making sync.WaitGroup
	for m := range makers {
		making.Go(func() {
			for i := m; i < watches; i += makers {
				w, err := ours.Watch(ctx, fmt.Sprintf("k/%05d", i))
				if err != nil {
					t.Error(err)
					return
				}
				all[i] = w
			}
		})
	}
	making.Wait()
	if took = time.Since(began); t.Failed() {
		return took
	}
	cost := memory() - before
	if n := watchers(t, c); n < watches {
		t.Errorf("the server has %d watches", n)
	}
	began = time.Now()
	const asked = 100
	for i := 0; i < watches; i += watches / asked {
		must(theirs.Put(ctx, fmt.Sprintf("%sk/%05d", ns, i), fmt.Sprint(i)))(t)
	}
	for i := 0; i < watches; i += watches / asked {
		for ev, err := range all[i].Events() {
			if err != nil || ev.KV.Key != fmt.Sprintf("k/%05d", i) ||
				string(ev.KV.Value) != fmt.Sprint(i) {
				t.Fatalf("watch %d got %+v, %v", i, ev, err)
			}
			break
		}
	}
	recipetest.Figure(t, "%d watches made in %v on %d connection, %.0f MB; %d events in %v",
		watches, took.Round(time.Millisecond), dialled.Load(), float64(cost)/1e6, asked,
		time.Since(began).Round(time.Millisecond))
	if cost > 100e6 || dialled.Load() != 1 {
		t.Errorf("%d bytes, %d connections", cost, dialled.Load())
	}
	runtime.KeepAlive(all)
	return took
}

// memory returns the bytes that the process uses, without garbage.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestASlowReaderDelaysNoOtherWatch: one of a thousand watches is not read, while more is written
// to it than the client keeps. The others receive their events as fast as before, and it receives
// everything once it reads.
func TestASlowReaderDelaysNoOtherWatch(t *testing.T) {
	ours, ns, theirs := both(t, cluster)
	ctx := within(t, 3*patience)
	const readers, ticks, large, writes = 999, 10, 600_000, 30
	slow := must(ours.Watch(ctx, "slow"))(t)
	var got [ticks]atomic.Int64
	var reading sync.WaitGroup
	defer reading.Wait()
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	for range readers {
		w := must(ours.Watch(stop, "tick"))(t)
		reading.Go(func() {
			n := 0
			for ev, err := range w.Events() {
				if err != nil {
					return
				}
				if string(ev.KV.Value) != fmt.Sprint(n) {
					t.Errorf("tick %s, should be %d", ev.KV.Value, n)
				}
				got[n].Add(1)
				n++
			}
		})
	}
	next := 0
	tick := func() time.Duration {
		began := time.Now()
		must(theirs.Put(ctx, ns+"tick", fmt.Sprint(next)))(t)
		eventually(t, "tick", func() bool { return got[next].Load() == readers })
		next++
		return time.Since(began)
	}
	half := func() (all []time.Duration) {
		for range ticks/2 - 1 {
			all = append(all, tick())
		}
		slices.Sort(all)
		return all
	}
	tick()
	before := half()
	value := strings.Repeat("x", large)
	for range writes {
		must(theirs.Put(ctx, ns+"slow", value))(t)
	}
	tick() // after all of it, on the only stream
	after := half()
	recipetest.Figure(t,
		"a tick reaches %d readers within %v; while %d MB wait for another one, within %v",
		readers, before[len(before)-1].Round(time.Millisecond), writes*large/1_000_000,
		after[len(after)-1].Round(time.Millisecond))
	if after[0] > 3*before[0]+500*time.Millisecond {
		t.Errorf("a tick took %v before, and %v behind a slow reader", before, after)
	}
	n := 0
	for ev, err := range slow.Events() {
		if err != nil || len(ev.KV.Value) != large {
			t.Fatalf("the slow one got %d, then %d bytes, %v", n, len(ev.KV.Value), err)
		}
		if n++; n == writes {
			break
		}
	}
}
