package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

func key(i int) string { return fmt.Sprintf("key-%06d", i) }

// faultsVar is the duration of the test of faults.
const faultsVar = "HOLDFAST_CACHE_FAULTS"

// TestFaults: while leaders are killed, members stopped, connections cut and revisions compacted,
// the copy never goes backwards, equals a read at the same revision, and the changes lead from
// state to state, up to the last one.
func TestFaults(t *testing.T) {
	t.Parallel()
	length := 8 * time.Second
	if v := os.Getenv(faultsVar); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	options := recipetest.Server(etcdproc.Versions()[0])
	options.Members = 3
	own := etcdtest.Start(t, options)
	var proxies []*faultproxy.Proxy
	var urls []string
	for _, endpoint := range own.Endpoints() {
		p, err := faultproxy.New(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		proxies, urls = append(proxies, p), append(urls, p.URL())
	}
	direct := newClient(t, gateway.Config{Endpoints: own.Endpoints(), AttemptTimeout: time.Second})
	prefix := fresh(t) + "/"
	fill(t, direct, prefix, 2000)
	copied := open(t, newClient(t, gateway.Config{Endpoints: urls, AttemptTimeout: time.Second}),
		prefix, &cache.Options{PageSize: 300, CheckInterval: time.Second})

	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var of sync.WaitGroup
	writes, compactions, faults, kills, compared := 0, 0, 0, 0, 0
	of.Go(func() {
		for ctx.Err() == nil {
			k := prefix + key(rand.IntN(3000))
			var err error
			if rand.IntN(3) == 0 {
				_, err = direct.Delete(ctx, k)
			} else {
				_, err = direct.Put(ctx, k, []byte(k))
			}
			if err == nil {
				writes++
			}
		}
	})
	of.Go(func() {
		for ctx.Err() == nil {
			rest(ctx, rand.N(time.Second))
			resp, err := direct.Get(ctx, prefix, gateway.KeysOnly())
			if err == nil && direct.Compact(ctx, resp.Revision) == nil {
				compactions++
			}
		}
	})
	of.Go(func() {
		for ctx.Err() == nil {
			i := rand.IntN(len(proxies))
			faults++
			switch faults % 4 {
			case 0:
				proxies[i].Reset()
			case 1:
				kills++
				leader, err := own.Leader(within(t, recipetest.Patience))
				if err == nil {
					err = leader.Kill()
				}
				rest(ctx, rand.N(time.Second))
				if err == nil {
					err = leader.Restart(within(t, recipetest.Patience))
				}
				if err != nil {
					t.Error(err)
					return
				}
			case 2:
				_ = proxies[i].Refuse()
				proxies[i].Reset()
				rest(ctx, rand.N(time.Second))
				_ = proxies[i].Admit()
			case 3:
				m := own.Member(i)
				_ = m.Pause()
				rest(ctx, rand.N(1500*time.Millisecond))
				_ = m.Resume()
			}
			rest(ctx, rand.N(500*time.Millisecond))
		}
	})
	followed := make(chan map[string]int64, 1)
	go func() { followed <- follow(t, copied.Snapshot(), prefix+"zzz") }()
	last := int64(0)
	for ctx.Err() == nil {
		s := copied.Snapshot()
		if s.Revision() < last {
			t.Errorf("revision %d after %d", s.Revision(), last)
		}
		last = s.Revision()
		if exact(ctx, t, direct, prefix, s) {
			compared++
		}
		rest(ctx, 10*time.Millisecond)
	}
	of.Wait()
	reach(t, copied, put(t, direct, prefix+"zzz", ""))
	if !exact(within(t, recipetest.Patience), t, direct, prefix, copied.Snapshot()) {
		t.Error("the last revision is compacted")
	}
	keys := <-followed
	for kv := range copied.Range("") {
		if keys[kv.Key] != kv.ModRevision {
			t.Errorf("the changes of %s led to revision %d, not %d", kv.Key, keys[kv.Key], kv.ModRevision)
		}
		delete(keys, kv.Key)
	}
	if len(keys) > 0 {
		t.Errorf("the deletions of %d keys are missing", len(keys))
	}
	if compared == 0 || writes == 0 {
		t.Errorf("%d comparisons, %d writes", compared, writes)
	}
	figure(t, "%v: %d writes, %d compactions, %d faults, %d of them kills of the leader; "+
		"equal in %d comparisons",
		length, writes, compactions, faults, kills, compared)
}

// follow applies the changes since a snapshot to its keys, until last has appeared. It returns the
// keys with their revisions.
func follow(t *testing.T, s cache.Snapshot, last string) map[string]int64 {
	t.Helper()
	keys := map[string]int64{}
	for kv := range s.Range("") {
		keys[kv.Key] = kv.ModRevision
	}
	for change, err := range s.Changes(t.Context()) {
		switch {
		case err != nil:
			return keys
		case change.Old == nil != (keys[change.Key] == 0) ||
			change.Old != nil && change.Old.ModRevision != keys[change.Key]:
			t.Errorf("%s: %v, want revision %d", change.Key, change.Old, keys[change.Key])
		}
		if change.New == nil {
			delete(keys, change.Key)
		} else {
			keys[change.Key] = change.New.ModRevision
		}
		if change.Key == last {
			return keys
		}
	}
	return keys
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
