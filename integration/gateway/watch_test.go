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

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// event converts an event of clientv3.
func event(ns string, ev *clientv3.Event) gateway.Event {
	out := gateway.Event{Deleted: ev.Type == mvccpb.DELETE, KV: public(ns, ev.Kv)}
	if ev.PrevKv != nil {
		prev := public(ns, ev.PrevKv)
		out.PrevKV = &prev
	}
	return out
}

// TestWatchesMatchClientV3 runs every kind of watch beside clientv3's watch of the same kind, over
// the same writes.
func TestWatchesMatchClientV3(t *testing.T) {
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
		prefix, theirPrefix := gateway.Prefix(), clientv3.WithPrefix()
		nsEnd := clientv3.WithRange(clientv3.GetPrefixRangeEnd(ns))
		tests := []struct {
			name, key string
			ours      opts
			theirs    opso
			want      int // number of events
		}{
			{"key", "b", nil, nil, 4},
			{"no such key", "x", nil, nil, 0},
			{"prefix", "a", opts{gateway.Prefix()}, opso{clientv3.WithPrefix()}, 4},
			{"range", "a1", opts{gateway.Range("c")}, opso{clientv3.WithRange(ns + "c")}, 5},
			{"from key", "b", opts{gateway.FromKey()}, opso{nsEnd}, 6},
			{"everything", "", opts{gateway.Prefix()}, opso{clientv3.WithPrefix()}, 10},
			{"from the first key", "", opts{gateway.FromKey()}, opso{nsEnd}, 10},
			{"revision", "b", opts{gateway.AtRevision(start)}, opso{clientv3.WithRev(start)}, 6},
			{
				"future", "",
				opts{prefix, gateway.AtRevision(future)},
				opso{theirPrefix, clientv3.WithRev(future)},
				6,
			},
			{
				"before", "",
				opts{gateway.Prefix(), gateway.PrevKV()},
				opso{clientv3.WithPrefix(), clientv3.WithPrevKV()},
				10,
			},
			{
				"no puts", "",
				opts{gateway.Prefix(), gateway.NoPut()},
				opso{clientv3.WithPrefix(), clientv3.WithFilterPut()},
				3,
			},
			{
				"no deletes", "",
				opts{prefix, gateway.NoDelete()},
				opso{theirPrefix, clientv3.WithFilterDelete()},
				7,
			},
			{
				"neither", "",
				opts{prefix, gateway.NoPut(), gateway.NoDelete()},
				opso{theirPrefix, clientv3.WithFilterPut(), clientv3.WithFilterDelete()},
				0,
			},
		}
		our, their := make([]*gateway.Watcher, len(tests)), make([]clientv3.WatchChan, len(tests))
		for i, tt := range tests {
			our[i] = must(ours.Watch(ctx, tt.key, tt.ours...))(t)
			their[i] = theirs.Watch(ctx, ns+tt.key,
				append(tt.theirs, clientv3.WithCreatedNotify())...)
			<-their[i]
			if rev := our[i].Revision(); rev != start+1 {
				t.Errorf("%s: watches from %d on, the store is at %d", tt.name, rev, start+1)
			}
		}
		must(theirs.Put(ctx, ns+"a", "1"))(t)
		must(theirs.Txn(ctx).Then(
			clientv3.OpPut(ns+"a1", "1"), clientv3.OpPut(ns+"b", "2"),
			clientv3.OpDelete(ns+"a")).Commit())(t)
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
			late := func(ev gateway.Event) bool { return ev.KV.ModRevision > end }
			if !reflect.DeepEqual(got, want) || slices.ContainsFunc(got, late) {
				t.Errorf("%s:\n%+v, clientv3 has\n%+v", tt.name, got, want)
			}
			our[i].Close()
		}
	})
}

// TestTheEventsOfATransactionAreDeliveredTogether: the events of one transaction are delivered
// together, although etcd sends them in several fragments.
func TestTheEventsOfATransactionAreDeliveredTogether(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		const size, keys = 450_000, 3
		first := must(theirs.Get(ctx, ns))(t).Header.Revision + 1
		for version := range 3 { // each but the first is 2.7 MB with the previous value
			var puts []clientv3.Op
			for k := range keys {
				puts = append(puts,
					clientv3.OpPut(fmt.Sprint(ns, k), strings.Repeat(fmt.Sprint(version), size)))
			}
			must(theirs.Txn(ctx).Then(puts...).Commit())(t)
		}
		for name, w := range map[string]*gateway.Watcher{
			"without": must(ours.Watch(ctx, "", gateway.Prefix(), gateway.AtRevision(first)))(t),
			"with": must(ours.Watch(ctx, "", gateway.Prefix(),
				gateway.AtRevision(first), gateway.PrevKV()))(t),
		} {
			next := first
			for r, err := range w.Responses() {
				if err != nil {
					t.Fatal(err)
				}
				for len(r.Events) > 0 {
					if len(r.Events) < keys {
						t.Fatalf("%s: %d events of revision %d", name, len(r.Events),
							r.Events[0].KV.ModRevision)
					}
					for k, ev := range r.Events[:keys] {
						if ev.KV.ModRevision != next || ev.KV.Key != fmt.Sprint(k) ||
							len(ev.KV.Value) != size ||
							(ev.PrevKV != nil) != (name == "with" && next > first) ||
							ev.PrevKV != nil && len(ev.PrevKV.Value) != size {
							t.Errorf("%s: event %d of revision %d is of %q at %d",
								name, k, next, ev.KV.Key, ev.KV.ModRevision)
						}
					}
					r.Events = r.Events[keys:]
					next++
				}
				if next == first+3 {
					break
				}
			}
		}
	})
}

// TestAWatchOfACompactedRevisionIsAnError: the error is typed and has the revision at which a new
// watch can continue, and it does.
func TestAWatchOfACompactedRevisionIsAnError(t *testing.T) {
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
		if ev, err := ours.WatchOnce(ctx, "k", gateway.AtRevision(e.CompactRevision)); err != nil ||
			string(ev.KV.Value) != "3" {
			t.Errorf("%+v, %v", ev, err)
		}
	})
}

// TestAWatchThatEndsEndsOnTheServer: a watch ends on the server too, for every way to end it: a
// break, Close, a context, stop and WatchOnce.
func TestAWatchThatEndsEndsOnTheServer(t *testing.T) {
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
			if is := map[string]error{
				"Close":       gateway.ErrClosed,
				"the context": context.Canceled,
			}[what]; !errors.Is(last, is) {
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

// watchers returns the first member's count of watchers.
func watchers(t *testing.T, c *etcdtest.Cluster) (n int) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, c.Endpoints()[0]+"/metrics",
		http.NoBody))(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp := must(client.Do(req))(t)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "etcd_debugging_mvcc_watcher_total %d",
			&n); err == nil {
			return n
		}
	}
	t.Fatal("no such metric")
	return 0
}
