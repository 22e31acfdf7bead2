package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

func TestChangesHaveOldAndNew(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 3)
		c := open(t, etcd, nil)
		f := follow(bubble.Within(t, time.Minute), t, c.Snapshot(), 0)
		f.want()
		etcd.Put("a/0001", "w")
		f.want("put a/0001")
		etcd.Put("a/new", "n")
		etcd.Put("b", "other")
		f.want("put a/new")
		etcd.Delete("a/0001")
		f.want("delete a/0001")
		if <-f.done; !errors.Is(f.err, context.DeadlineExceeded) {
			t.Errorf("the loop ends with %v", f.err)
		}
	})
}

// TestChangesSinceTheCall: the loop may begin later than the call.
func TestChangesSinceTheCall(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := open(t, etcd, nil)
		changes := c.Changes(t.Context())
		etcd.Put("a/x", "v")
		for change, err := range changes {
			if change.Key != "a/x" || err != nil || change.Revision != etcd.Revision() {
				t.Errorf("%v, %v", change, err)
			}
			break
		}
	})
}

// TestChangesOfASlowLoop are one for each key, and delay nothing.
func TestChangesOfASlowLoop(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 3)
		c := open(t, etcd, nil)
		f := follow(bubble.Within(t, 30*time.Minute), t, c.Snapshot(), time.Minute)
		etcd.Put("a/0000", "first")
		synctest.Wait() // the loop is busy now
		for i := range 1000 {
			etcd.Put("a/0001", fmt.Sprint(i))
			etcd.Put("a/gone", fmt.Sprint(i))
		}
		etcd.Delete("a/0002")
		etcd.Delete("a/gone")
		exact(t, etcd, c)
		time.Sleep(10 * time.Minute)
		f.want("put a/0000", "put a/0001", "delete a/0002")
		if f.keys["a/0001"] != "999" {
			t.Errorf("the loop has seen %v", f.keys)
		}
	})
}

// TestChangesAfterACut are the events since.
func TestChangesAfterACut(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 3)
		c := open(t, etcd, nil)
		f := follow(t.Context(), t, c.Snapshot(), 0)
		etcd.BreakWatches(true)
		etcd.Put("a/0001", "w")
		etcd.Delete("a/0002")
		f.want()
		etcd.BreakWatches(false)
		time.Sleep(5 * time.Second)
		exact(t, etcd, c)
		f.want("put a/0001", "delete a/0002")
		c.Close()
		<-f.done
	})
}

// TestChangesAfterACompaction are the differences, and no others.
func TestChangesAfterACompaction(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		fill(etcd, 1000)
		c := open(t, etcd, nil)
		f := follow(t.Context(), t, c.Snapshot(), 0)
		before, _ := c.Snapshot().Get("a/0001")
		lose(etcd, func() {
			etcd.Put("a/0500", "w")
			etcd.Delete("a/0600")
			etcd.Put("a/new", "n")
			etcd.Put("a/gone", "n")
			etcd.Delete("a/gone")
			etcd.Delete("a/0700")
			etcd.Put("a/0700", "again")
		})
		exact(t, etcd, c)
		f.want("put a/0500", "delete a/0600", "put a/0700", "put a/new")
		if after, _ := c.Snapshot().Get("a/0001"); &before.Value[0] != &after.Value[0] {
			t.Error("a key that has not changed is in memory twice")
		}
		etcd.Put("a/0001", "w")
		f.want("put a/0001")
		c.Close()
		<-f.done
	})
}

// lose makes all watches miss the events of fn.
func lose(etcd *fakeetcd.Server, fn func()) {
	time.Sleep(2 * time.Second)
	etcd.BreakWatches(true)
	synctest.Wait()
	fn()
	etcd.Compact()
	etcd.BreakWatches(false)
	time.Sleep(5 * time.Second)
}

// TestRandomFaults: among puts and deletions, cuts, compactions and slow loops, the copy and the
// changes are exact, and revisions only grow.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) { randomFaults(t, etcd, seed) })
		})
	}
}

func randomFaults(t *testing.T, etcd *fakeetcd.Server, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	fill(etcd, 50)
	c := open(t, etcd, &cache.Options{PageSize: 7, CheckInterval: time.Second})
	slow := follow(t.Context(), t, c.Snapshot(), 700*time.Millisecond)
	fast := follow(t.Context(), t, c.Snapshot(), 0)
	last := int64(0)
	for range 300 {
		key := fmt.Sprintf("a/%04d", r.IntN(60))
		switch n := r.IntN(100); {
		case n < 60:
			etcd.Put(key, fmt.Sprint(n))
		case n < 80:
			etcd.Delete(key)
		case n < 90:
			time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
		case n < 93:
			etcd.Compact()
		case n < 96:
			etcd.BreakWatches(true)
		default:
			etcd.BreakWatches(false)
		}
		if now := c.Revision(); now < last {
			t.Errorf("revision %d after %d", now, last)
		} else {
			last = now
		}
	}
	etcd.BreakWatches(false)
	time.Sleep(5 * time.Minute)
	exact(t, etcd, c)
	c.Close()
	for _, f := range []*follower{slow, fast} {
		<-f.done
		want := map[string]string{}
		for kv := range c.Range("") {
			want[kv.Key] = string(kv.Value)
		}
		if !maps.Equal(f.keys, want) {
			t.Errorf("the changes lead to %v, want %v", f.keys, want)
		}
	}
}
