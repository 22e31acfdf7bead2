package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestTableIsAMap compares a table with a map while keys come and go, and its differences from an
// older table with theirs.
func TestTableIsAMap(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var now, old table
	model, oldModel := map[string]int64{}, map[string]int64{}
	for step := range int64(8_000) {
		ev := gateway.Event{KV: gateway.KeyValue{
			Key: fmt.Sprintf("k%04d", r.IntN(3000)), ModRevision: step,
		}}
		ev.Deleted = r.IntN(3) == 0 == (step < 4_000) // it grows, and then shrinks
		now = now.with([]gateway.Event{ev})
		if model[ev.KV.Key] = step; ev.Deleted {
			delete(model, ev.KV.Key)
		}
		if r.IntN(200) > 0 {
			continue
		}
		same(t, &now, model)
		same(t, &old, oldModel)
		folded := maps.Clone(oldModel)
		for before, after := range differences(&old, &now) {
			switch {
			case after == nil:
				delete(folded, before.Key)
			case before != nil && before.Key != after.Key:
				t.Fatalf("%s became %s", before.Key, after.Key)
			default:
				folded[after.Key] = after.ModRevision
			}
		}
		if !maps.Equal(folded, model) {
			t.Fatalf("step %d: the differences lead to other keys", step)
		}
		old, oldModel = now, maps.Clone(model)
	}
}

func same(t *testing.T, of *table, model map[string]int64) {
	t.Helper()
	var keys []string
	size := int64(0)
	of.walk("", func(kv gateway.KeyValue) bool {
		keys = append(keys, kv.Key)
		size += int64(len(kv.Key)) + keyOverhead
		if got := of.get(kv.Key); got == nil || got.ModRevision != kv.ModRevision ||
			model[kv.Key] != kv.ModRevision {
			t.Fatalf("%v, want revision %d", kv, model[kv.Key])
		}
		return true
	})
	if !slices.Equal(keys, slices.Sorted(maps.Keys(model))) || of.n != len(model) || of.size != size {
		t.Fatalf("%d keys, %d counted, %d bytes counted of %d; want %d keys",
			len(keys), of.n, of.size, size, len(model))
	}
	for i, c := range of.chunks {
		if len(c.keys) == 0 || len(c.keys) > maxChunk || of.first[i] != c.keys[0] {
			t.Fatalf("a chunk of %d keys", len(c.keys))
		}
	}
}

// TestChangeSharesChunks: a change copies one chunk, so that a comparison reads only its keys.
func TestChangeSharesChunks(t *testing.T) {
	t.Parallel()
	var large table
	for i := range 10_000 {
		large.add(&gateway.KeyValue{Key: fmt.Sprintf("k%05d", i)})
	}
	next := large.with([]gateway.Event{{KV: gateway.KeyValue{Key: "k05000", ModRevision: 1}}})
	shared := 0
	for i, c := range next.chunks {
		if c == large.chunks[i] {
			shared++
		}
	}
	if shared != len(large.chunks)-1 {
		t.Errorf("%d of %d chunks are shared", shared, len(large.chunks))
	}
}

// TestLateEventsAreIgnored: a read can show the copy complete before the watch delivers keys that
// came and went.
func TestLateEventsAreIgnored(t *testing.T) {
	t.Parallel()
	c := &Cache{byKey: map[string]*gateway.KeyValue{}}
	c.latest.Store(&state{revision: 5, replaced: make(chan struct{})})
	for revision := range int64(8) {
		kv := gateway.KeyValue{Key: "k", ModRevision: revision}
		c.publish(revision, func(t *table) table { return t.with([]gateway.Event{{KV: kv}}) })
		got, _ := c.Get("k")
		if seen := revision > 5; c.Revision() != max(5, revision) || (got.Key == "k") != seen {
			t.Errorf("after revision %d: %v at %d", revision, got, c.Revision())
		}
	}
}

// large returns a cache of 100,000 keys, and the keys in random order.
func large() (*Cache, []string) {
	c := &Cache{byKey: map[string]*gateway.KeyValue{}}
	loaded := table{}
	var keys []string
	for i := range 100_000 {
		key := fmt.Sprintf("config/service-%06d/setting", i)
		keys = append(keys, key)
		loaded.add(&gateway.KeyValue{Key: key, Value: make([]byte, 64), ModRevision: 1})
	}
	c.latest.Store(&state{replaced: make(chan struct{})})
	c.publish(1, func(*table) table { return loaded })
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return c, keys
}

// BenchmarkGet: 1,000 keys that are read again and again, and all keys in random order, where the
// processor waits for its memory.
func BenchmarkGet(b *testing.B) {
	c, keys := large()
	for _, n := range []int{1000, len(keys)} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := c.Get(keys[i%n]); !ok {
					b.Fatal("no key")
				}
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	c, keys := large()
	b.ReportAllocs()
	for i := int64(2); b.Loop(); i++ {
		kv := gateway.KeyValue{Key: keys[int(i)%len(keys)], ModRevision: i}
		c.publish(i, func(t *table) table { return t.with([]gateway.Event{{KV: kv}}) })
	}
}
