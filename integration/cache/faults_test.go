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

// TestFaults: while members are stopped, connections cut and revisions compacted, the copy never
// goes backwards, equals a read at the same revision, and the changes lead from state to state.
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
	copied := open(t, newClient(t, gateway.Config{Endpoints: urls, AttemptTimeout: time.Second}), prefix,
		&cache.Options{PageSize: 300, CheckInterval: time.Second})

	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var of sync.WaitGroup
	writes, compactions, faults, compared := 0, 0, 0, 0
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
			switch rand.IntN(3) {
			case 0:
				proxies[i].Reset()
			case 1:
				_ = proxies[i].Refuse()
				proxies[i].Reset()
				rest(ctx, rand.N(time.Second))
				_ = proxies[i].Admit()
			case 2:
				m := own.Member(i)
				_ = m.Pause()
				rest(ctx, rand.N(1500*time.Millisecond))
				_ = m.Resume()
			}
			rest(ctx, rand.N(500*time.Millisecond))
		}
	})
	of.Go(func() { // the differences must lead from state to state
		s := copied.Snapshot()
		keys := map[string]int64{}
		for kv := range s.Range("") {
			keys[kv.Key] = kv.ModRevision
		}
		for change, err := range s.Changes(ctx) {
			switch {
			case err != nil:
			case change.Old == nil != (keys[change.Key] == 0) ||
				change.Old != nil && change.Old.ModRevision != keys[change.Key]:
				t.Errorf("%s: %v, want revision %d", change.Key, change.Old, keys[change.Key])
			case change.New == nil:
				delete(keys, change.Key)
			default:
				keys[change.Key] = change.New.ModRevision
			}
		}
	})
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
	reach(t, copied, put(t, direct, prefix+"end", ""))
	if !exact(within(t, recipetest.Patience), t, direct, prefix, copied.Snapshot()) {
		t.Error("the last revision is compacted")
	}
	if compared == 0 || writes == 0 {
		t.Errorf("%d comparisons, %d writes", compared, writes)
	}
	figure(t, "%v: %d writes, %d compactions, %d faults; equal in %d comparisons",
		length, writes, compactions, faults, compared)
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

// TestLargePrefix loads 100,000 keys, and measures how late changes arrive.
func TestLargePrefix(t *testing.T) {
	t.Parallel()
	c := newClient(t, gateway.Config{})
	prefix := fresh(t) + "/"
	const keys, writes = 100_000, 500
	fill(t, c, prefix, keys)
	begun := time.Now()
	copied := open(t, newClient(t, gateway.Config{}), prefix, nil)
	loaded := time.Since(begun)
	if copied.Len() != keys {
		t.Errorf("%d keys", copied.Len())
	}
	var late []time.Duration
	for range writes {
		revision := put(t, c, prefix+key(rand.IntN(keys)), "other")
		begun := time.Now()
		reach(t, copied, revision)
		late = append(late, time.Since(begun))
	}
	exact(within(t, time.Minute), t, c, prefix, copied.Snapshot())
	p50, most := median(late)
	figure(t, "%d keys loaded in %v; behind an acknowledged write by %v (median), %v (most)",
		keys, loaded.Round(time.Millisecond), p50.Round(10*time.Microsecond), most.Round(10*time.Microsecond))
}
