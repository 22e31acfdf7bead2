package listwatch

import (
	"context"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

// counter is a reducer that counts calls.
type counter struct{ lists, applied, stales int }

func (c *counter) Read(context.Context) (*gateway.GetResponse, error) { return nil, nil }
func (c *counter) List(*gateway.GetResponse)                          { c.lists++ }
func (c *counter) Apply([]gateway.Event)                              { c.applied++ }
func (c *counter) Stale()                                             { c.stales++ }

func event(revision int64) gateway.WatchResponse {
	return gateway.WatchResponse{Events: []gateway.Event{
		{KV: gateway.KeyValue{Key: "a/x", ModRevision: revision}},
	}}
}

// newWatched returns a cache with a watch that is being created, without a server.
func newWatched(r Reducer) (*Cache, *watch) {
	c := New(nil, r, []string{"a/"}, gateway.Prefix())
	c.watch = &watch{creating: 1, ready: make(chan struct{})}
	return c, c.watch
}

// TestReplacedWatchIsIgnored: a call of a watch that was replaced can come late, because stopping a
// watch does not wait for it.
func TestReplacedWatchIsIgnored(t *testing.T) {
	t.Parallel()
	var r counter
	c, old := newWatched(&r)
	c.handle(old, gateway.WatchResponse{Created: true})
	c.list(old, &gateway.GetResponse{Header: gateway.Header{Revision: 5}})
	c.handle(old, gateway.WatchResponse{Err: gateway.ErrCompacted})
	if r != (counter{lists: 1, stales: 1}) || c.watch != nil || c.err != nil {
		t.Fatalf("%+v, watch %v, error %v", r, c.watch, c.err)
	}
	next := &watch{creating: 1, ready: make(chan struct{})}
	c.watch = next
	c.handle(old, event(6))
	c.handle(old, gateway.WatchResponse{Created: true})
	c.handle(old, gateway.WatchResponse{Err: gateway.ErrPermissionDenied})
	c.list(old, &gateway.GetResponse{Header: gateway.Header{Revision: 6}})
	if r != (counter{lists: 1, stales: 1}) || c.watch != next || next.creating != 1 || c.err != nil {
		t.Errorf("%+v, watch %v, error %v", r, c.watch, c.err)
	}
}

// TestEventsBeforeTheStart: a member that lags behind the start of a cache delivers older events.
func TestEventsBeforeTheStart(t *testing.T) {
	t.Parallel()
	client, err := gateway.New(gateway.Config{
		Endpoints:   []string{"http://etcd:2379"},
		DialContext: memnet.Network{}.Dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var r counter
	c := New(client, &r, []string{"a/x"})
	c.StartAt(5)
	c.handle(c.watch, gateway.WatchResponse{Err: gateway.ErrCompacted})
	c.watch = &watch{creating: 1, ready: make(chan struct{})}
	c.handle(c.watch, event(5))
	c.handle(c.watch, event(6))
	if r != (counter{stales: 1, applied: 1}) {
		t.Errorf("%+v", r)
	}
}

// pooled is a reducer that embeds its cache.
type pooled struct {
	*Cache
	counter
}

func (p *pooled) Read(ctx context.Context) (*gateway.GetResponse, error) {
	return p.Cache.Read(ctx)
}

// TestPoolTimerIsLate: the timer of an idle cache may fire while the cache is acquired again.
func TestPoolTimerIsLate(t *testing.T) {
	t.Parallel()
	var pool Pool[*pooled]
	k := pool.Acquire(ID{}, func() *pooled {
		r := &pooled{}
		r.Cache = New(nil, r, []string{"a/"})
		return r
	})
	pool.closeIdle(k.Cache)
	if k.failed() || !pool.InUse(ID{}) {
		t.Error("closed while it has a user")
	}
}

// BenchmarkEvent delivers one event to a cache that is complete.
func BenchmarkEvent(b *testing.B) {
	var r counter
	c, w := newWatched(&r)
	c.list(w, &gateway.GetResponse{})
	resp := event(1)
	b.ReportAllocs()
	for b.Loop() {
		c.handle(w, resp)
	}
}
