package mutex_test

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestLateCopiesFromAFrozenMemberChangeNothing sends a join, an unlock and a guarded write to a
// follower that is paused, waits until the session has finished them through another member,
// reverts their effects, and resumes the follower after 20 s. The first copies must have no effect.
// HOLDFAST_ROUNDS repeats it; each round has five sessions for each kind of request.
func TestLateCopiesFromAFrozenMemberChangeNothing(t *testing.T) {
	t.Parallel()
	rounds, _ := strconv.Atoi(os.Getenv("HOLDFAST_ROUNDS"))
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		three := etcdtest.Start(t, &etcdproc.Options{
			Version: version, Members: 3,
			UnsafeNoFsync: true,
		})
		for range max(1, rounds) {
			frozenRound(t, three)
		}
	})
}

// router dials the member that the test has set, for both of two endpoint names. Existing
// connections keep their member.
type router struct{ target atomic.Pointer[string] }

func (r *router) set(addr string) { r.target.Store(&addr) }

func (r *router) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, *r.target.Load())
}

func (r *router) client(t *testing.T) *gateway.Client {
	t.Helper()
	return newClient(t, gateway.Config{
		Endpoints:   []string{"http://one", "http://two"},
		DialContext: r.dial,
	})
}

// frozen is one session whose request reaches the paused follower.
type frozen struct {
	s     *session.Session
	c     *gateway.Client
	name  string
	held  *mutex.Lock // nil for a join
	write bool        // a guarded write; if not, an unlock
	value string
}

func frozenRound(t *testing.T, three *etcdtest.Cluster) {
	const each = 5
	leader := three.FindLeader(t)
	var follower, healthy *etcdproc.Member
	for _, m := range three.Members() {
		if m != leader {
			follower, healthy = m, leader
		}
	}
	direct := newClient(t, gateway.Config{Endpoints: []string{healthy.Endpoint()}})
	// The proxy keeps its connection to the follower when a client closes its own, as a network
	// that delivers late. So the follower does not drop the request when it resumes.
	p := newHTTPProxy(t, follower.Endpoint())
	p.Add(faultproxy.Rule{Match: faultproxy.Path("/v3/kv/txn"), Action: faultproxy.DelayBefore(0)})
	var r router
	r.set(p.Addr())
	var all []*frozen
	for i := range 3 * each {
		c := r.client(t)
		f := &frozen{s: newSession(t, c, &session.Options{TTL: time.Minute}), c: c, name: fresh(t)}
		f.value = f.name + ".value"
		if i >= each {
			f.held = lock(t, f.s, f.name)
			f.write = i >= 2*each
		}
		all = append(all, f)
	}
	// The control: a plain transaction, guarded as locks usually are, does leave a key.
	var plain []*gateway.Client
	for range each {
		c := r.client(t)
		if _, err := c.Get(t.Context(), "warm"); err != nil { // a connection to the follower
			t.Fatal(err)
		}
		plain = append(plain, c)
	}

	if err := follower.Pause(); err != nil {
		t.Fatal(err)
	}
	r.set(healthy.Addr())
	began := time.Now()
	var work sync.WaitGroup
	for _, f := range all {
		work.Go(func() { f.finishElsewhere(t, direct) })
	}
	var unguarded []string
	for _, c := range plain {
		key := fresh(t)
		unguarded = append(unguarded, key)
		work.Go(func() { ghostly(t, c, direct, key) })
	}
	work.Wait()
	pause(t, t.Context(), 20*time.Second-time.Since(began), "pause")
	if err := follower.Resume(); err != nil {
		t.Fatal(err)
	}

	// The follower now processes the requests that it had read before the pause. Wait until it
	// serves again, and then until its handlers have finished.
	late := newClient(t, gateway.Config{Endpoints: []string{follower.Endpoint()}})
	for range 20 {
		if _, err := late.Get(within(t, 20*time.Second), "after"); err != nil {
			t.Fatal(err)
		}
		pause(t, t.Context(), 100*time.Millisecond, "late requests")
	}
	for _, f := range all {
		f.check(t, direct)
	}
	ghosts := 0
	for _, key := range unguarded {
		resp, err := direct.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		ghosts += len(resp.KVs)
	}
	figure(t, "etcd %s: %d joins, unlocks and writes each frozen for %v: none came back; of plain "+
		"puts %d of %d did",
		three.Version(), each, time.Since(began).Round(time.Second), ghosts, len(unguarded))
	if ghosts == 0 {
		t.Error("no plain put came back either: the test proves nothing")
	}
}

// finishElsewhere sends the request to be frozen, which succeeds by another try, and then changes
// the state so that the first copy would do harm.
func (f *frozen) finishElsewhere(t *testing.T, direct *gateway.Client) {
	ctx := within(t, 60*time.Second)
	m := mutex.New(f.s, f.name, nil)
	switch {
	case f.held == nil: // a late join would hold the lock
		l, err := m.Lock(ctx)
		if err != nil {
			t.Errorf("Lock: %v", err)
			return
		}
		if err := l.Unlock(ctx); err != nil {
			t.Errorf("Unlock: %v", err)
		}
	case !f.write: // a late deletion would delete the next hold, which has the same key
		if err := f.held.Unlock(ctx); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		l, err := m.Lock(ctx)
		if err != nil {
			t.Errorf("Lock: %v", err)
			return
		}
		if l.Key() != f.held.Key() {
			t.Errorf("the key was not used again: %s, %s", f.held.Key(), l.Key())
		}
		f.held = l
	default: // a late write would overwrite a newer one
		old := gateway.Txn{Then: []gateway.Op{gateway.OpPut(f.value, []byte("old"))}}
		if _, err := f.held.Txn(ctx, old); err != nil {
			t.Errorf("Txn: %v", err)
		}
		if _, err := direct.Put(ctx, f.value, []byte("new")); err != nil {
			t.Error(err)
		}
	}
}

func (f *frozen) check(t *testing.T, direct *gateway.Client) {
	t.Helper()
	keys := members(t, direct, f.name)
	switch {
	case f.held == nil && len(keys) > 0:
		t.Errorf("a ghost holds %s", strings.Join(keys, ", "))
	case f.held != nil && (len(keys) != 1 || f.held.Err() != nil):
		t.Errorf("the hold of %s is gone: %v, %v", f.held.Key(), keys, f.held.Err())
	case f.write:
		resp, err := direct.Get(t.Context(), f.value)
		if err != nil || len(resp.KVs) != 1 || string(resp.KVs[0].Value) != "new" {
			t.Errorf("an old write came back: %v, %v", resp, err)
		}
	}
}

// ghostly puts a key if it is absent, with tries through other members if there is no answer, and
// then deletes it.
func ghostly(t *testing.T, c, direct *gateway.Client, key string) {
	put := gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)},
		Then: []gateway.Op{gateway.OpPut(key, nil)},
	}
	for range 3 {
		if _, err := c.Txn(within(t, 10*time.Second), put); err == nil {
			break
		}
	}
	if _, err := direct.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
}
