package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// rounds is how often the long tests repeat their steps: HOLDFAST_ROUNDS, or 1.
func rounds() int {
	n, _ := strconv.Atoi(os.Getenv("HOLDFAST_ROUNDS"))
	return max(1, n)
}

// TestWatchesLoseNothingOverBrokenConnectionsAndKills: over connections that break and members that
// are killed, watches lose no event, repeat none and keep the order. Each round has 10,000 events,
// five breaks of all connections and, in every other round, the death of a member:
// HOLDFAST_ROUNDS=10 is 100,000 events, 50 breaks and 5 deaths.
func TestWatchesLoseNothingOverBrokenConnectionsAndKills(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		options := recipetest.Server(version)
		options.Members = 3
		three := etcdtest.Start(t, options)
		net := newNetwork(t, three)
		ns := fresh(t) + "/"
		ctx := within(t, time.Duration(rounds())*time.Minute)
		c := newClient(t, gateway.Config{Endpoints: net.urls, Namespace: ns})
		theirs := three.ClientV3(t)
		start := must(theirs.Get(ctx, "none"))(t).Header.Revision

		all := follow(t, c, "", gateway.Prefix(), gateway.PrevKV())
		all.prev = true
		some := []*follower{
			follow(t, c, "k/07"), follow(t, c, "k/1", gateway.Prefix(), gateway.NoPut()),
			follow(t, c, "k/20", gateway.FromKey()),
		}
		const events, breaks = 10_000, 5
		broken, deaths := 0, 0
		began := time.Now()
		for round := range rounds() {
			written := make(chan struct{})
			go func() {
				defer close(written)
				for done, n := 0, 0; done < events && ctx.Err() == nil; n += 20 {
					done += write(ctx, theirs, ns, n)
				}
			}()
			for i := range breaks {
				want := int64(round*events + (i+1)*events/(breaks+1))
				eventually(t, "events", func() bool { return all.count.Load() >= want })
				accepted := net.accepted()
				net.reset()
				broken++
				eventually(t, "a new stream", func() bool { return net.accepted() > accepted })
				if round%2 == 0 && i == breaks/2 {
					m := three.Member(round / 2 % 3)
					if err := m.Kill(); err != nil {
						t.Fatal(err)
					}
					if err := errors.Join(m.Launch(), m.WaitHealthy(ctx)); err != nil {
						t.Fatal(err)
					}
					deaths++
				}
			}
			<-written
		}
		// The expected events are read by a watch afterwards, without disturbances.
		end := must(theirs.Put(ctx, ns+"k/20", "end"))(t).Header.Revision
		must(theirs.Put(ctx, ns+"k/07", "end"))(t)
		must(theirs.Put(ctx, ns+"k/1", "end"))(t)
		last := must(theirs.Delete(ctx, ns+"k/1"))(t).Header.Revision
		truth := history(ctx, t, theirs, ns, start+1, last)
		if len(truth) < rounds()*events {
			t.Fatalf("only %d events were written", len(truth))
		}
		all.check(t, truth, last, func(gateway.Event) bool { return true })
		some[0].check(t, truth, end+1, func(ev gateway.Event) bool { return ev.KV.Key == "k/07" })
		some[1].check(t, truth, last, func(ev gateway.Event) bool {
			return strings.HasPrefix(ev.KV.Key, "k/1") && ev.Deleted
		})
		some[2].check(t, truth, end, func(ev gateway.Event) bool { return ev.KV.Key >= "k/20" })
		recipetest.Figure(t,
			"%d events, %d breaks of all connections, %d deaths of members, %v: none lost, none "+
				"twice, in order",
			len(truth), broken, deaths, time.Since(began).Round(time.Second))
	})
}

// write sends one transaction of one to twenty puts and deletes, and returns the number of its
// events. If it fails, the history shows whether it was applied.
func write(ctx context.Context, theirs *clientv3.Client, ns string, n int) int {
	size := 1 + n/20%20
	var ops []clientv3.Op
	for i := range size {
		key := fmt.Sprintf("%sk/%02d", ns, (n+i)%40)
		if (n+i)%7 == 0 {
			ops = append(ops, clientv3.OpDelete(key))
		} else {
			ops = append(ops, clientv3.OpPut(key, strconv.Itoa(n+i)))
		}
	}
	try, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp, err := theirs.Txn(try).Then(ops...).Commit()
	if err != nil {
		return 0
	}
	for _, r := range resp.Responses {
		if d := r.GetResponseDeleteRange(); d != nil && d.Deleted == 0 {
			size-- // the key did not exist
		}
	}
	return size
}

// history reads all events from one revision to another, by clientv3.
func history(
	ctx context.Context, t *testing.T, theirs *clientv3.Client, ns string, from, to int64,
) (events []gateway.Event) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for r := range theirs.Watch(ctx, ns, clientv3.WithPrefix(),
		clientv3.WithRev(from), clientv3.WithPrevKV()) {
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
		for _, ev := range r.Events {
			events = append(events, event(ns, ev))
		}
		if n := len(events); n > 0 && events[n-1].KV.ModRevision >= to {
			return events
		}
	}
	t.Fatal("the history ends early")
	return nil
}

// follower records the events of a watch.
type follower struct {
	w     *gateway.Watcher
	prev  bool // it has the option PrevKV
	count atomic.Int64
	done  chan struct{}

	mu  sync.Mutex
	got []gateway.Event
	err error
}

func follow(t *testing.T, c *gateway.Client, key string, opts ...gateway.Option) *follower {
	t.Helper()
	f := &follower{w: must(c.Watch(t.Context(), key, opts...))(t), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for ev, err := range f.w.Events() {
			f.mu.Lock()
			if f.err = err; err == nil {
				f.got = append(f.got, ev)
			}
			f.mu.Unlock()
			f.count.Add(1)
		}
	}()
	t.Cleanup(func() { f.w.Close(); <-f.done })
	return f
}

// last returns the revision of the last event.
func (f *follower) last() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || len(f.got) == 0 {
		return 0
	}
	return f.got[len(f.got)-1].KV.ModRevision
}

// check waits for the event of the last revision and compares all events with the expected ones.
func (f *follower) check(
	t *testing.T, truth []gateway.Event, last int64, mine func(gateway.Event) bool,
) {
	t.Helper()
	eventually(t, "the last event", func() bool { return f.last() >= last })
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, ev := range truth {
		if !mine(ev) || ev.KV.ModRevision > last {
			continue
		}
		if !f.prev {
			ev.PrevKV = nil
		}
		if n >= len(f.got) || !reflect.DeepEqual(f.got[n], ev) {
			t.Fatalf("event %d is not %+v", n, ev)
		}
		n++
	}
	if n != len(f.got) || n == 0 {
		t.Errorf("%d events, should be %d", len(f.got), n)
	}
}

// network puts a proxy before each member.
type network struct {
	proxies []*faultproxy.Proxy
	urls    []string
}

func newNetwork(t *testing.T, c *etcdtest.Cluster) *network {
	t.Helper()
	n := &network{}
	for _, m := range c.Members() {
		p := must(faultproxy.New(m.Endpoint()))(t)
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		n.proxies, n.urls = append(n.proxies, p), append(n.urls, p.URL())
	}
	return n
}

func (n *network) reset() {
	for _, p := range n.proxies {
		p.Reset()
	}
}

func (n *network) accepted() (sum int) {
	for _, p := range n.proxies {
		sum += p.Accepted()
	}
	return sum
}
