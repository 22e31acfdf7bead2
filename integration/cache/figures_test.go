package cache_test

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// fullVar asks for the full length of the measurements, and for their bounds, which a machine that
// other programs keep busy does not meet.
const fullVar = "HOLDFAST_CACHE_FULL"

// TestLargePrefix loads 100,000 keys, and measures Get and how late changes arrive at 1,000 writes
// a second.
func TestLargePrefix(t *testing.T) {
	t.Parallel()
	full := os.Getenv(fullVar) != ""
	const keys, perSecond, writers = 100_000, 1000, 50
	c := newClient(t, gateway.Config{})
	prefix := fresh(t) + "/"
	fill(t, c, prefix, keys)
	begun := time.Now()
	copied := open(t, newClient(t, gateway.Config{}), prefix, nil)
	loaded := time.Since(begun)
	if copied.Len() != keys {
		t.Errorf("%d keys", copied.Len())
	}

	length := time.Second
	if full {
		length = 30 * time.Second
	}
	var of sync.WaitGroup
	var mu sync.Mutex
	var late []time.Duration
	begun = time.Now()
	for range writers {
		of.Go(func() {
			tick := time.NewTicker(writers * time.Second / perSecond)
			defer tick.Stop()
			for ; time.Since(begun) < length; <-tick.C {
				revision := put(t, c, prefix+key(rand.IntN(keys)), "other")
				acknowledged := time.Now()
				reach(t, copied, revision)
				d := time.Since(acknowledged)
				mu.Lock()
				late = append(late, d)
				mu.Unlock()
			}
		})
	}
	of.Wait()
	rate := float64(len(late)) / time.Since(begun).Seconds()
	p50, most := median(late)
	exact(within(t, time.Minute), t, c, prefix, copied.Snapshot())

	get := testing.Benchmark(func(b *testing.B) {
		k := prefix + key(keys/2)
		for b.Loop() {
			if _, ok := copied.Get(k); !ok {
				b.Fatal("no key")
			}
		}
	})
	figure(t, "%d keys loaded in %v", keys, loaded.Round(time.Millisecond))
	figure(t, "%.0f writes/s: behind an acknowledged write by %v (median), %v (most)",
		rate, p50.Round(10*time.Microsecond), most.Round(10*time.Microsecond))
	figure(t, "Get: %d ns, %d allocations", get.NsPerOp(), get.AllocsPerOp())
	if get.AllocsPerOp() > 0 {
		t.Error("Get allocates")
	}
	if full && (loaded > 3*time.Second || p50 > 5*time.Millisecond || get.NsPerOp() > 200) {
		t.Error("the figures are not within their bounds")
	}
}
