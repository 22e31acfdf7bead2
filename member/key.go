package member

import (
	"context"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// ownKey is the reducer of a member's key. It also learns from the answers to writes, because these
// arrive before their events, and also while no watch can be opened. Until it has learned of the
// key, the key does not exist for it; the next write finds out.
type ownKey struct {
	*listwatch.Cache
	wake  chan struct{} // receives after a change
	stale chan struct{} // receives when the copy misses events

	mu       sync.Mutex
	kv       *gateway.KeyValue // nil if the key does not exist
	revision int64             // at which this was so
}

func newOwnKey(c *gateway.Client, key string, wake chan struct{}) *ownKey {
	k := &ownKey{wake: wake, stale: make(chan struct{}, 1)}
	k.Cache = listwatch.New(c, k, []string{key})
	return k
}

// List takes a read of the key.
func (k *ownKey) List(read *gateway.GetResponse) { k.learn(read.KVs, read.Revision) }

// Apply takes the events of a revision.
func (k *ownKey) Apply(events []gateway.Event) {
	last := events[len(events)-1]
	if last.Deleted {
		k.learn(nil, last.KV.ModRevision)
		return
	}
	k.learn([]gateway.KeyValue{last.KV}, last.KV.ModRevision)
}

// Stale lets follow complete the copy again.
func (k *ownKey) Stale() { signal(k.stale) }

// follow keeps the copy complete until ctx ends.
func (k *ownKey) follow(ctx context.Context) {
	defer k.Close()
	for again := (line.Again{}); ctx.Err() == nil; {
		if err := k.Sync(ctx); err != nil {
			k.Reset() // the right to read the key, for example, may be back later
			_ = again.Wait(ctx)
			continue
		}
		again = line.Again{}
		select {
		case <-k.stale:
		case <-ctx.Done():
		}
	}
}

// learn takes the state of the key at a revision, unless it knows a later one.
func (k *ownKey) learn(kvs []gateway.KeyValue, revision int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if revision <= k.revision {
		return
	}
	k.kv, k.revision = nil, revision
	if len(kvs) > 0 {
		k.kv = &kvs[0]
	}
	signal(k.wake)
}

// get returns the key, or nil if it does not exist.
func (k *ownKey) get() *gateway.KeyValue {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kv
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
