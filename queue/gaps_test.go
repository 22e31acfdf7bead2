package queue

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestGapsLeaveOutNoItem: gaps that consumers find at different times, together with those of
// others, never hold the place of an item, and reads of the ranges between them show all items.
func TestGapsLeaveOutNoItem(t *testing.T) {
	t.Parallel()
	for range 50 {
		k := keysOf("a")
		items := map[string]bool{}
		stored := gaps{tail: 7}
		ic := watching(k)
		ic.synced = true
		next := int64(1)
		for range 30 {
			for range rand.N(600) {
				p := place(rand.N(2), next)
				items[p] = true
				ic.add(p, "", next)
				next++
			}
			keep := rand.N(5)
			for p, e := range ic.entries {
				if rand.N(10) >= keep {
					delete(items, p)
					ic.drop(e)
				}
			}
			ic.allBefore = next
			ic.horizon = ""
			if places := slices.Sorted(maps.Keys(items)); len(places) > 0 && rand.N(3) == 0 {
				ic.horizon = places[rand.N(len(places))] + "\x00"
			}
			stored = stored.with(ic.newGaps())
			stored = parseGaps(&gateway.GetResponse{
				KVs: []gateway.KeyValue{{Value: stored.encode()}},
			})
			if len(stored.list) > maxGaps || stored.tail != 7 {
				t.Fatalf("%+v", stored)
			}
			for p := range items {
				in := 0
				for _, r := range stored.between(k.items, "") {
					if r.from <= k.items+p && k.items+p < r.to {
						in++
					}
				}
				if in != 1 {
					t.Fatalf("%s is in %d ranges of %+v", p, in, stored)
				}
			}
		}
	}
}

// TestForeignGaps: a value that this library does not write is as no gaps.
func TestForeignGaps(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "x", "7 x", "7 9/1-9/2", "7 9/0000000000000002-9/0000000000000001",
		"7 8/0000000000000001-9/0000000000000002", "-",
	} {
		got := parseGaps(&gateway.GetResponse{KVs: []gateway.KeyValue{{Value: []byte(value)}}})
		if len(got.list) > 0 {
			t.Errorf("%q: %+v", value, got)
		}
	}
}
