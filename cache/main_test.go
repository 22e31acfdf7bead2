package cache_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, nil)) }

// open returns a cache of the keys below "a/".
func open(t *testing.T, etcd *fakeetcd.Server, opts *cache.Options) *cache.Cache {
	t.Helper()
	c, err := cache.Open(t.Context(), etcd.Client(t), "a/", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	synctest.Wait()
	return c
}

// exact checks that the copy is the state of the server, by all its methods.
func exact(t *testing.T, etcd *fakeetcd.Server, c *cache.Cache) {
	t.Helper()
	synctest.Wait()
	want := map[string]string{}
	for _, key := range etcd.Keys("a/") {
		kv, _ := etcd.Get(key)
		want[key] = string(kv.Value)
		if got, ok := c.Get(key); !ok || fmt.Sprint(got) != fmt.Sprint(kv) {
			t.Errorf("Get = %v, %v, want %v", got, ok, kv)
		}
	}
	got, last := map[string]string{}, ""
	for kv := range c.Range("") {
		if kv.Key <= last {
			t.Errorf("%q after %q", kv.Key, last)
		}
		got[kv.Key], last = string(kv.Value), kv.Key
	}
	if !maps.Equal(got, want) || c.Len() != len(want) {
		t.Errorf("the copy: %d keys: %v, etcd: %v", c.Len(), got, want)
	}
}

// follower is a loop over changes, which folds them into a map.
type follower struct {
	t    *testing.T
	keys map[string]string
	log  []string
	err  error
	done chan struct{}
}

// follow starts a loop. Each step waits for pause.
func follow(ctx context.Context, t *testing.T, s cache.Snapshot, pause time.Duration) *follower {
	t.Helper()
	f := &follower{t: t, keys: map[string]string{}, done: make(chan struct{})}
	for kv := range s.Range("") {
		f.keys[kv.Key] = string(kv.Value)
	}
	go func() {
		defer close(f.done)
		for change, err := range s.Changes(ctx) {
			if f.err = err; err != nil {
				return
			}
			f.see(change)
			time.Sleep(pause)
		}
	}()
	return f
}

func (f *follower) see(ch cache.Change) {
	old, ok := f.keys[ch.Key]
	if ok != (ch.Old != nil) || ok && string(ch.Old.Value) != old {
		f.t.Errorf("%s: old value %v, want %q, %v", ch.Key, ch.Old, old, ok)
	}
	if ch.New == nil {
		delete(f.keys, ch.Key)
		f.log = append(f.log, "delete "+ch.Key)
		return
	}
	f.keys[ch.Key] = string(ch.New.Value)
	f.log = append(f.log, "put "+ch.Key)
}

// want checks the changes since the last want.
func (f *follower) want(log ...string) {
	f.t.Helper()
	synctest.Wait()
	if fmt.Sprint(f.log) != fmt.Sprint(log) {
		f.t.Errorf("changes %q, want %q", f.log, log)
	}
	f.log = nil
}
