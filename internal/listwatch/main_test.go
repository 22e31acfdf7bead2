package listwatch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keys is a reducer that holds the mod_revisions of the keys below "a/", or of one key. It checks
// the guarantees of the package.
type keys struct {
	*listwatch.Cache
	t *testing.T
	// Called before and after the request of Read, and by Apply, unless nil.
	beforeRead, afterRead, onApply func()

	mu       sync.Mutex
	m        map[string]int64
	log      []string
	reads    int
	complete bool
	revision int64         // of the last List or Apply
	stale    chan struct{} // receives when Stale was called
}

// prefix returns a cache of the keys below "a/".
func prefix(t *testing.T, c *gateway.Client) *keys {
	t.Helper()
	return reducer(t, c, []string{"a/"}, gateway.Prefix())
}

// single returns a cache of the key "a/x".
func single(t *testing.T, c *gateway.Client) *keys {
	t.Helper()
	return reducer(t, c, []string{"a/x"})
}

func reducer(t *testing.T, c *gateway.Client, watched []string, opts ...gateway.Option) *keys {
	t.Helper()
	k := &keys{
		t: t, m: map[string]int64{}, stale: make(chan struct{}, 1),
	}
	k.Cache = listwatch.New(c, k, watched, opts...)
	t.Cleanup(k.Close)
	return k
}

func (k *keys) Read(ctx context.Context) (*gateway.GetResponse, error) {
	k.mu.Lock()
	k.reads++
	k.mu.Unlock()
	call(k.beforeRead)
	read, err := k.Cache.Read(ctx)
	call(k.afterRead)
	return read, err
}

func call(fn func()) {
	if fn != nil {
		fn()
	}
}

func (k *keys) List(read *gateway.GetResponse) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.log = append(k.log, fmt.Sprint("list ", read.Revision))
	if k.complete || read.Revision < k.revision {
		k.t.Errorf("List at %d after %d", read.Revision, k.revision)
	}
	k.complete, k.revision = true, read.Revision
	clear(k.m)
	for _, kv := range read.KVs {
		k.m[kv.Key] = kv.ModRevision
	}
}

func (k *keys) Apply(events []gateway.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.log = append(k.log, fmt.Sprint("apply ", events[0].KV.ModRevision))
	if revision := events[0].KV.ModRevision; revision <= k.revision {
		k.t.Errorf("Apply at %d after %d", revision, k.revision)
	}
	k.revision = events[0].KV.ModRevision
	for _, ev := range events {
		if ev.KV.ModRevision != k.revision {
			k.t.Errorf("revisions %d and %d in one call", k.revision, ev.KV.ModRevision)
		}
		if k.m[ev.KV.Key] = ev.KV.ModRevision; ev.Deleted {
			delete(k.m, ev.KV.Key)
		}
	}
	call(k.onApply)
}

func (k *keys) Stale() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.log = append(k.log, "stale")
	k.complete = false
	k.stale <- struct{}{} // blocks if Stale is called twice without a List
}

// want checks the calls since the last want.
func (k *keys) want(log ...string) {
	k.t.Helper()
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Equal(k.log, log) {
		k.t.Errorf("calls: %q, want %q", k.log, log)
	}
	k.log = nil
}

// exact checks that the copy is the state of the server.
func (k *keys) exact(etcd *fakeetcd.Server) {
	k.t.Helper()
	synctest.Wait()
	want := map[string]int64{}
	for _, key := range etcd.Keys("a/") {
		kv, _ := etcd.Get(key)
		want[key] = kv.ModRevision
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !maps.Equal(k.m, want) {
		k.t.Errorf("the copy: %v, etcd: %v", k.m, want)
	}
}

func (k *keys) sync() {
	k.t.Helper()
	if err := k.Sync(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

// goSync calls Sync in a goroutine and waits until nothing moves.
func (k *keys) goSync(ctx context.Context) chan error {
	done := make(chan error, 1)
	go func() { done <- k.Sync(ctx) }()
	synctest.Wait()
	return done
}

func wantErr(t *testing.T, done chan error, want error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		if !errors.Is(err, want) {
			t.Errorf("Sync = %v, want %v", err, want)
		}
	default:
		t.Errorf("Sync goes on, want %v", want)
	}
}

// once returns a function that calls fn the first time.
func once(fn func()) func() { return sync.OnceFunc(fn) }

// compact makes all watches miss n puts, which are compacted.
func compact(etcd *fakeetcd.Server, n int) {
	time.Sleep(2 * time.Second) // a younger watch would be reported late
	etcd.BreakWatches(true)
	synctest.Wait() // a stream that is being cut may deliver events
	for i := range n {
		etcd.Put(fmt.Sprint("a/missed", i), "")
	}
	etcd.Compact()
	etcd.BreakWatches(false)
	time.Sleep(3 * time.Second) // until the client has resumed its watches
}
