package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// event is an event of clientv3, as ours should say it.
func event(ns string, ev *clientv3.Event) gateway.Event {
	out := gateway.Event{Deleted: ev.Type == mvccpb.DELETE, KV: public(ns, ev.Kv)}
	if ev.PrevKv != nil {
		prev := public(ns, ev.PrevKv)
		out.PrevKV = &prev
	}
	return out
}

// TestWatches runs every kind of watch beside clientv3's of the same kind, over the same writes.
func TestWatches(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx, cancel := context.WithCancel(within(t, patience))
		defer cancel()
		start := must(theirs.Put(ctx, ns+"b", "past"))(t).Header.Revision
		must(theirs.Put(ctx, ns+"b", "past too"))(t)
		future := start + 4
		type (
			opts = []gateway.Option
			opso = []clientv3.OpOption
		)
		nsEnd := clientv3.WithRange(clientv3.GetPrefixRangeEnd(ns))
		tests := []struct {
			name, key string
			ours      opts
			theirs    opso
			want      int // events
		}{
			{"key", "b", nil, nil, 4},
			{"no such key", "x", nil, nil, 0},
			{"prefix", "a", opts{gateway.Prefix()}, opso{clientv3.WithPrefix()}, 4},
			{"range", "a1", opts{gateway.Range("c")}, opso{clientv3.WithRange(ns + "c")}, 5},
			{"from key", "b", opts{gateway.FromKey()}, opso{nsEnd}, 6},
			{"everything", "", opts{gateway.Prefix()}, opso{clientv3.WithPrefix()}, 10},
			{"from the first key", "", opts{gateway.FromKey()}, opso{nsEnd}, 10},
			{"revision", "b", opts{gateway.AtRevision(start)}, opso{clientv3.WithRev(start)}, 6},
			{"future", "", opts{gateway.Prefix(), gateway.AtRevision(future)}, opso{clientv3.WithPrefix(), clientv3.WithRev(future)}, 6},
			{"before", "", opts{gateway.Prefix(), gateway.PrevKV()}, opso{clientv3.WithPrefix(), clientv3.WithPrevKV()}, 10},
			{"no puts", "", opts{gateway.Prefix(), gateway.NoPut()}, opso{clientv3.WithPrefix(), clientv3.WithFilterPut()}, 3},
			{"no deletes", "", opts{gateway.Prefix(), gateway.NoDelete()}, opso{clientv3.WithPrefix(), clientv3.WithFilterDelete()}, 7},
			{"neither", "", opts{gateway.Prefix(), gateway.NoPut(), gateway.NoDelete()}, opso{clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithFilterDelete()}, 0},
		}
		our, their := make([]*gateway.Watcher, len(tests)), make([]clientv3.WatchChan, len(tests))
		for i, tt := range tests {
			our[i] = must(ours.Watch(ctx, tt.key, tt.ours...))(t)
			their[i] = theirs.Watch(ctx, ns+tt.key, append(tt.theirs, clientv3.WithCreatedNotify())...)
			<-their[i]
			if rev := our[i].Revision(); rev != start+1 {
				t.Errorf("%s: watches from %d on, the store is at %d", tt.name, rev, start+1)
			}
		}
		must(theirs.Put(ctx, ns+"a", "1"))(t)
		must(theirs.Txn(ctx).Then(
			clientv3.OpPut(ns+"a1", "1"), clientv3.OpPut(ns+"b", "2"), clientv3.OpDelete(ns+"a")).Commit())(t)
		lease := must(theirs.Grant(ctx, 60))(t).ID
		must(theirs.Put(ctx, ns+"c", "", clientv3.WithLease(lease)))(t)
		must(theirs.Delete(ctx, ns+"b"))(t)
		must(theirs.Put(ctx, ns+"b", "3"))(t)
		must(theirs.Put(ctx, ns+"b", "4"))(t)
		must(theirs.Revoke(ctx, lease))(t)
		end := must(theirs.Put(ctx, ns+"a", "last"))(t).Header.Revision
		must(theirs.Put(ctx, ns[:len(ns)-1]+"0", "outside"))(t)

		for i, tt := range tests {
			var want []gateway.Event
			for len(want) < tt.want {
				r, ok := <-their[i]
				if !ok {
					t.Fatalf("%s: clientv3 has only %v", tt.name, want)
				}
				for _, ev := range r.Events {
					want = append(want, event(ns, ev))
				}
			}
			var got []gateway.Event
			if tt.want > 0 {
				for ev, err := range our[i].Events() {
					if err != nil {
						t.Fatalf("%s: %v after %d events", tt.name, err, len(got))
					}
					if got = append(got, ev); len(got) == len(want) {
						break
					}
				}
			}
			if !reflect.DeepEqual(got, want) || slices.ContainsFunc(got, func(ev gateway.Event) bool { return ev.KV.ModRevision > end }) {
				t.Errorf("%s:\n%+v, clientv3 has\n%+v", tt.name, got, want)
			}
			our[i].Close()
		}
	})
}

// TestWatchBatches: the events of one transaction come together, in as many fragments as etcd may need.
func TestWatchBatches(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		var first int64
		for i := range 4 { // more than one message holds, on a watch of the past
			rev := must(theirs.Put(ctx, fmt.Sprintf("%slarge/%d", ns, i), strings.Repeat("v", 1_400_000)))(t).Header.Revision
			first = min(max(first, rev), rev-int64(i))
		}
		must(theirs.Txn(ctx).Then(clientv3.OpPut(ns+"x", ""), clientv3.OpPut(ns+"y", ""), clientv3.OpPut(ns+"z", "")).Commit())(t)
		w := must(ours.Watch(ctx, "", gateway.Prefix(), gateway.AtRevision(first)))(t)
		total, together := 0, false
		for r, err := range w.Responses() {
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, ev := range r.Events {
				total += len(ev.KV.Value)
				if ev.KV.ModRevision == first+4 {
					n++
				}
			}
			if together = n == 3; n > 0 {
				break
			}
		}
		if total != 4*1_400_000 || !together {
			t.Errorf("%d bytes of values, a transaction whole: %v", total, together)
		}
	})
}

// TestWatchCompacted is a typed error that says where to go on, and going on there works.
func TestWatchCompacted(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		old := must(theirs.Put(ctx, ns+"k", "1"))(t).Header.Revision
		must(theirs.Put(ctx, ns+"k", "2"))(t)
		rev := must(theirs.Put(ctx, ns+"k", "3"))(t).Header.Revision
		must(theirs.Compact(ctx, rev))(t)
		_, err := ours.WatchOnce(ctx, "k", gateway.AtRevision(old))
		e, ok := errors.AsType[*gateway.Error](err)
		if !ok || !errors.Is(err, gateway.ErrCompacted) || e.CompactRevision != rev {
			t.Fatalf("%#v", err)
		}
		if ev, err := ours.WatchOnce(ctx, "k", gateway.AtRevision(e.CompactRevision)); err != nil || string(ev.KV.Value) != "3" {
			t.Errorf("%+v, %v", ev, err)
		}
	})
}

// TestWatchEnds in the server too, whichever way it ends: by a break, Close, a context, stop and WatchOnce.
func TestWatchEnds(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		eventually(t, "no watches", func() bool { return watchers(t, c) == 0 })
		must(ours.Watch(ctx, "stays"))(t)
		byContext, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := must(ours.Watch(byContext, "k"))(t)
		closed := must(ours.Watch(ctx, "k"))(t)
		broken := must(ours.Watch(ctx, "k"))(t)
		stop := must(ours.WatchFunc("k", func(gateway.WatchResponse) {}))(t)
		once := make(chan gateway.Event)
		go func() { once <- must(ours.WatchOnce(ctx, "k"))(t) }()
		eventually(t, "six watches", func() bool { return watchers(t, c) == 6 })
		rev := must(theirs.Put(ctx, ns+"k", "v"))(t).Header.Revision
		if ev := <-once; ev.KV.ModRevision != rev {
			t.Errorf("%+v", ev)
		}
		for _, err := range broken.Events() {
			if err != nil {
				t.Error(err)
			}
			break
		}
		closed.Close()
		cancel()
		stop()
		for what, w := range map[string]*gateway.Watcher{"Close": closed, "the context": ended} {
			var last error
			for _, err := range w.Events() {
				last = err
			}
			if is := map[string]error{"Close": gateway.ErrClosed, "the context": context.Canceled}[what]; !errors.Is(last, is) {
				t.Errorf("ended by %s: %v", what, last)
			}
		}
		eventually(t, "one watch", func() bool { return watchers(t, c) == 1 })
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		eventually(t, "no watch", func() bool { return watchers(t, c) == 0 })
	})
}

// watchers is how many the first member says it has.
func watchers(t *testing.T, c *etcdtest.Cluster) (n int) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, c.Endpoints()[0]+"/metrics", http.NoBody))(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp := must(client.Do(req))(t)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "etcd_debugging_mvcc_watcher_total %d", &n); err == nil {
			return n
		}
	}
	t.Fatal("no such metric")
	return 0
}

// TestProgressReports come on demand, behind all events, and by themselves on a quiet watch.
func TestProgressReports(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		flag := map[string]string{"3.4": "--experimental-watch-progress-notify-interval=300ms", "3.5": "--experimental-watch-progress-notify-interval=300ms"}[version]
		if flag == "" {
			flag = "--watch-progress-notify-interval=300ms"
		}
		o := recipetest.Server(version)
		o.ExtraArgs = append(o.ExtraArgs, flag)
		if version == "3.4" {
			o = recipetest.Server(version) // has neither, and no order that could be relied on
		}
		own := etcdtest.Start(t, o)
		ours, ns, theirs := both(t, own)
		ctx := within(t, patience)
		told := make(chan gateway.WatchResponse, 10_000)
		must(ours.WatchFunc("k", func(r gateway.WatchResponse) { told <- r }, gateway.ProgressNotify()))(t)
		if r := <-told; !r.Created {
			t.Fatalf("%+v", r)
		}
		if version == "3.4" {
			if err := ours.RequestProgress(); err != nil {
				t.Error(err)
			}
			return
		}
		// On demand, among events.
		const puts = 500
		var rev int64
		for i := range puts {
			rev = must(theirs.Put(ctx, ns+"k", "v"))(t).Header.Revision
			if i%50 == 0 {
				if err := ours.RequestProgress(); err != nil {
					t.Fatal(err)
				}
			}
		}
		seen, last, reports := 0, int64(0), 0
		next := func() gateway.WatchResponse {
			select {
			case r := <-told:
				return r
			case <-ctx.Done():
				t.Fatalf("%d events, %d reports, at %d", seen, reports, last)
				return gateway.WatchResponse{}
			}
		}
		for seen < puts {
			r := next()
			if r.Err != nil || r.Revision < last {
				t.Errorf("%+v behind %d", r, last)
			}
			if r.Progress {
				reports++
				if r.Revision > last && seen > 0 { // nothing else is written
					t.Errorf("all up to %d are said to have come, but only %d have", r.Revision, last)
				}
				continue
			}
			seen += len(r.Events)
			last = r.Revision
		}
		if err := ours.RequestProgress(); err != nil {
			t.Fatal(err)
		}
		for r := next(); r.Revision < rev; r = next() {
		}
		// By itself, of what the watch has no part in.
		for range 2 {
			rev = must(theirs.Put(ctx, ns+"other", "v"))(t).Header.Revision
			began := time.Now()
			for r := next(); !r.Progress || r.Revision < rev; r = next() {
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("told after %v", took)
			}
		}
	})
}
