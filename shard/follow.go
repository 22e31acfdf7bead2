package shard

import (
	"context"
	"iter"
	"maps"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// follower is the reducer of a group's assignment and orders, which all members of a client share.
type follower struct {
	*listwatch.Cache
	readers

	key     string                      // of the assignment; the orders are below it
	kvs     map[string]gateway.KeyValue // by key
	version int64                       // the number of changes
}

// followed is an assignment with the orders of the operators.
type followed struct {
	table
	orders
}

// idleFollower is the time for which a follower without users is kept.
const idleFollower = 30 * time.Second

// followers is global because the members of a client must share its followers.
var followers listwatch.Pool[*follower]

func acquireFollower(c *gateway.Client, key string) *follower {
	return followers.Acquire(listwatch.ID{Client: c, Kind: "shard", Key: key}, func() *follower {
		f := &follower{key: key}
		f.Cache = listwatch.New(c, f, []string{key}, gateway.Prefix())
		return f
	})
}

// List takes a read of the keys.
func (f *follower) List(read *gateway.GetResponse) {
	f.change(func() {
		f.synced, f.kvs = true, map[string]gateway.KeyValue{}
		for _, kv := range read.KVs {
			f.kvs[kv.Key] = kv
		}
	})
}

// Apply takes the events of a revision.
func (f *follower) Apply(events []gateway.Event) {
	f.change(func() {
		for _, ev := range events {
			if ev.Deleted {
				delete(f.kvs, ev.KV.Key)
			} else {
				f.kvs[ev.KV.Key] = ev.KV
			}
		}
	})
}

func (f *follower) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.version++
	f.wakeAll()
}

// get returns a copy of the keys and the number of changes.
func (f *follower) get() (_ map[string]gateway.KeyValue, version int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.kvs), f.version, f.synced
}

// followTable yields the assignment and the orders, and again after each change, until ctx ends.
// The last pair has the error.
func followTable(
	ctx context.Context, c *gateway.Client, group string,
) iter.Seq2[followed, error] {
	return func(yield func(followed, error) bool) {
		f := acquireFollower(c, tableKey(group))
		defer followers.Release(f, idleFollower)
		wake := f.addReader()
		defer f.removeReader(wake)
		shown := int64(-1)
		for {
			if err := f.Sync(ctx); err != nil {
				yield(followed{}, err)
				return
			}
			if kvs, version, ok := f.get(); ok && version != shown {
				shown = version
				if !yield(followedOf(group, kvs), nil) {
					return
				}
				continue // it may have changed during the yield
			}
			select {
			case <-wake:
			case <-ctx.Done():
				yield(followed{}, ctxerr.Of(ctx))
				return
			}
		}
	}
}

func followedOf(group string, kvs map[string]gateway.KeyValue) (f followed) {
	f.orders = newOrders()
	for key, kv := range kvs {
		if key == tableKey(group) {
			f.table = decodeTable([]gateway.KeyValue{kv})
		}
		f.put(group, kv)
	}
	return f
}
