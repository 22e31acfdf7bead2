package queue

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestLengthAfterALateWatch: the number of items that the watch keeps is right, no matter how far
// the watch had come when the items were counted.
func TestLengthAfterALateWatch(t *testing.T) {
	t.Parallel()
	k := keysOf("a")
	for range 200 {
		var history []gateway.Event // one for each revision, from 1 on
		lengths := []int64{0}       // at each revision
		var items []gateway.KeyValue
		for revision := int64(1); revision <= 20; revision++ {
			if len(items) == 0 || rand.N(2) == 0 {
				kv := gateway.KeyValue{
					Key:            k.items + fmt.Sprint(revision),
					CreateRevision: revision, ModRevision: revision,
				}
				items = append(items, kv)
				history = append(history, gateway.Event{KV: kv})
			} else {
				kv := items[0]
				items = items[1:]
				kv.ModRevision = revision
				history = append(history, gateway.Event{KV: kv, Deleted: true})
			}
			lengths = append(lengths, int64(len(items)))
		}
		r := &room{}
		w := &lengthWatch{room: r, changed: make(chan struct{})}
		r.watch = w
		created, counted := rand.N(len(history)), rand.N(len(history))
		counted = max(created, counted)
		reported := created + rand.N(len(history)-created) // before the count's answer
		for revision := created + 1; revision <= len(history); revision++ {
			if revision == reported+1 {
				w.setLength(lengths[counted], int64(counted), nil)
			}
			w.take(&k, gateway.WatchResponse{Events: history[revision-1 : revision]})
			n, at, ok := r.length()
			if ok && n != lengths[at] {
				t.Fatalf("watched from %d, counted at %d after %d: %d items at %d, want %d",
					created, counted, reported, n, at, lengths[at])
			}
		}
	}
}
