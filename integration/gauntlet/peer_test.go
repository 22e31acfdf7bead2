package gauntlet_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// Helpers that all tests of recipes share.
var (
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
)

func soon(tb testing.TB) context.Context { return recipetest.Within(tb, recipetest.Patience) }

// must fails the test at an error of a step that a row needs and does not test.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// newLink returns a proxy before the member. A test can break it.
func newLink(tb testing.TB) *faultproxy.Proxy {
	tb.Helper()
	link, err := faultproxy.New(cluster.Endpoints()[0])
	must(tb, err)
	tb.Cleanup(func() {
		if err := link.Close(); err != nil {
			tb.Error(err)
		}
	})
	return link
}

// newHTTPLink returns a proxy before the member on which a test can break single requests.
func newHTTPLink(tb testing.TB) *faultproxy.HTTPProxy {
	tb.Helper()
	link, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	must(tb, err)
	tb.Cleanup(func() {
		if err := link.Close(); err != nil {
			tb.Error(err)
		}
	})
	return link
}

// A peer is a client of etcd's own library behind a link of its own. It is closed at the end of the
// test, even if calls through it still wait.
type peer struct {
	*clientv3.Client
	link    *faultproxy.Proxy
	watches atomic.Int64 // confirmed by the server, which shows that a recipe waits
}

func newPeer(tb testing.TB, more ...*faultproxy.Proxy) *peer {
	tb.Helper()
	p := &peer{link: newLink(tb)}
	endpoints := []string{p.link.URL()}
	for _, link := range more {
		endpoints = append(endpoints, link.URL())
	}
	var err error
	p.Client, err = clientv3.New(clientv3.Config{
		Endpoints: endpoints, DialTimeout: time.Minute,
		Logger: zap.NewNop(),
	})
	must(tb, err)
	p.Watcher = countedWatcher{p.Watcher, p}
	tb.Cleanup(func() { _ = p.Close() }) // a row may have closed it
	_, err = p.Get(soon(tb), "warm")
	must(tb, err)
	return p
}

// back waits until the peer's requests succeed again after its link was healed.
func (p *peer) back(tb testing.TB) {
	tb.Helper()
	eventually(tb, "the link", func() bool { _, err := p.Get(soon(tb), "back"); return err == nil })
}

type countedWatcher struct {
	clientv3.Watcher
	p *peer
}

func (w countedWatcher) Watch(
	ctx context.Context, key string, opts ...clientv3.OpOption,
) clientv3.WatchChan {
	ch := w.Watcher.Watch(ctx, key, opts...)
	w.p.watches.Add(1)
	return ch
}

// waits waits until a call through the peer waits on its first watch.
func (p *peer) waits(tb testing.TB) {
	tb.Helper()
	eventually(tb, "watch", func() bool { return p.watches.Load() > 0 })
}

// beforeWrite makes the peer call txn before it builds a transaction, and del before it sends a
// deletion.
func (p *peer) beforeWrite(txn, del func()) { p.KV = hookedKV{p.KV, txn, del} }

type hookedKV struct {
	clientv3.KV
	txn, del func()
}

func (kv hookedKV) Txn(ctx context.Context) clientv3.Txn {
	kv.txn()
	return kv.KV.Txn(ctx)
}

func (kv hookedKV) Delete(
	ctx context.Context, key string, opts ...clientv3.OpOption,
) (*clientv3.DeleteResponse, error) {
	kv.del()
	return kv.KV.Delete(ctx, key, opts...)
}

func nothing() {}

func (p *peer) session(tb testing.TB, opts ...concurrency.SessionOption) *concurrency.Session {
	tb.Helper()
	s, err := concurrency.NewSession(p.Client, opts...)
	must(tb, err)
	return s
}

// plain returns a session of this library on a link that no test breaks.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	return behind(tb, cluster.Endpoints()[0], nil)
}

func behind(tb testing.TB, url string, opts *session.Options) *session.Session {
	tb.Helper()
	c := recipetest.NewClient(tb, gateway.Config{Endpoints: []string{url}})
	return recipetest.NewSession(tb, c, opts)
}

func lock(tb testing.TB, s *session.Session, name string) *mutex.Lock {
	tb.Helper()
	return lockWith(tb, s, name, nil)
}

func lockWith(
	tb testing.TB, s *session.Session, name string, opts *mutex.Options,
) *mutex.Lock {
	tb.Helper()
	l, err := mutex.New(s, name, opts).Lock(soon(tb))
	must(tb, err)
	return l
}

// A call is a call in progress.
type call struct {
	done chan struct{}
	err  error // the error, or the panic
}

func begin(fn func() error) *call {
	c := &call{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer func() {
			if r := recover(); r != nil {
				c.err = fmt.Errorf("panic: %v", r)
			}
		}()
		c.err = fn()
	}()
	return c
}

// end waits for the call and returns its error.
func (c *call) end(tb testing.TB) error {
	tb.Helper()
	if c.stuck(recipetest.Patience) {
		tb.Fatal("the call does not return")
	}
	return c.err
}

// stuck reports whether the call has not returned after d. A call that waits for an event that
// never happens can only be found by waiting for a fixed time.
func (c *call) stuck(d time.Duration) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-c.done:
		return false
	case <-late.C:
		return true
	}
}

// comes waits up to d for a condition that may never hold, and reports whether it held.
func comes(tb testing.TB, d time.Duration, cond func() bool) bool {
	tb.Helper()
	for end := time.Now().Add(d); !cond(); {
		if time.Now().After(end) {
			return false
		}
		recipetest.Pause(tb, tb.Context(), 5*time.Millisecond, "a condition")
	}
	return true
}

// cutOff makes a call and ends its context when the request is applied and the answer is lost. It
// then heals the link. It returns the call's error.
func cutOff(
	tb testing.TB, link *faultproxy.Proxy, fn func(ctx context.Context) error, applied func() bool,
) error {
	tb.Helper()
	link.Blackhole(faultproxy.Down)
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	c := begin(func() error { return fn(ctx) })
	eventually(tb, "the request to be applied", applied)
	cancel()
	err := c.end(tb)
	must(tb, link.Heal())
	return err
}

// under returns the keys with a prefix.
func under(tb testing.TB, prefix string) (keys []string) {
	tb.Helper()
	resp, err := etcd.Get(soon(tb), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	must(tb, err)
	for _, kv := range resp.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}

// count returns the condition that n keys have the prefix.
func count(tb testing.TB, prefix string, n int) func() bool {
	return func() bool { return len(under(tb, prefix)) == n }
}

func exists(tb testing.TB, key string) bool {
	tb.Helper()
	resp, err := etcd.Get(soon(tb), key)
	must(tb, err)
	return resp.Count == 1
}

func remove(tb testing.TB, key string) {
	tb.Helper()
	_, err := etcd.Delete(soon(tb), key)
	must(tb, err)
}

// expired reports whether the lease no longer exists on the server.
func expired(tb testing.TB, lease clientv3.LeaseID) bool {
	tb.Helper()
	resp, err := etcd.TimeToLive(soon(tb), lease)
	must(tb, err)
	return resp.TTL < 0
}

// revoke revokes a lease, which has the same effect as its expiry.
func revoke(tb testing.TB, lease clientv3.LeaseID) {
	tb.Helper()
	_, err := etcd.Revoke(soon(tb), lease)
	must(tb, err)
}

// compact compacts the log up to the latest revision. The server refuses a watch that starts at an
// earlier one.
func compact(tb testing.TB) {
	tb.Helper()
	var last int64
	for range 3 { // so that a watch that starts at the next revision is refused, too
		resp, err := etcd.Put(soon(tb), "compacted", "")
		must(tb, err)
		last = resp.Header.Revision
	}
	_, err := etcd.Compact(soon(tb), last)
	must(tb, err)
}

// compactAndReset compacts the log and then resets all connections of the link.
func compactAndReset(tb testing.TB, link *faultproxy.Proxy) {
	tb.Helper()
	compact(tb)
	before := link.Accepted()
	link.Reset()
	eventually(tb, "a new connection", func() bool { return link.Accepted() > before })
}

// saw returns a text for the table. It shortens errors.
func saw(format string, args ...any) string {
	for i, arg := range args {
		switch arg := arg.(type) {
		case nil:
			args[i] = "nil"
		case bool:
			args[i] = map[bool]string{true: "yes", false: "no"}[arg]
		case error:
			said, _, _ := strings.Cut(strings.TrimPrefix(arg.Error(), "rpc error: code = "),
				" desc = ")
			args[i] = strings.Trim(said[strings.LastIndex(said, ": ")+1:], ` "}`)
		}
	}
	return fmt.Sprintf(format, args...)
}

// lineOf returns the keys of the members of a line of this library, without the keys of its
// settings.
func lineOf(tb testing.TB, name string) (keys []string) {
	tb.Helper()
	for _, key := range under(tb, name+"/") {
		if !strings.HasPrefix(key, name+"//") {
			keys = append(keys, key)
		}
	}
	return keys
}
