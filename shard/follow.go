package shard

import (
	"context"
	"iter"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// follower is the reducer of a group's assignment, which all members of a client share.
type follower struct {
	*listwatch.Cache
	readers

	kvs []gateway.KeyValue // none if there is no assignment
}

// idleFollower is the time for which a follower without users is kept.
const idleFollower = 30 * time.Second

// followers is global because the members of a client must share its followers.
var followers listwatch.Pool[*follower]

func acquireFollower(c *gateway.Client, key string) *follower {
	return followers.Acquire(listwatch.ID{Client: c, Kind: "shard", Key: key}, func() *follower {
		f := &follower{}
		f.Cache = listwatch.New(c, f, []string{key})
		return f
	})
}

// List takes a read of the assignment.
func (f *follower) List(read *gateway.GetResponse) { f.set(read.KVs) }

// Apply takes the events of a revision.
func (f *follower) Apply(events []gateway.Event) {
	last := events[len(events)-1]
	if last.Deleted {
		f.set(nil)
		return
	}
	f.set([]gateway.KeyValue{last.KV})
}

func (f *follower) set(kvs []gateway.KeyValue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced, f.kvs = true, kvs
	f.wakeAll()
}

func (f *follower) get() (_ []gateway.KeyValue, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kvs, f.synced
}

// followTable yields the assignment, and again after each change, until ctx ends. The last pair has
// the error.
func followTable(ctx context.Context, c *gateway.Client, group string) iter.Seq2[table, error] {
	return func(yield func(table, error) bool) {
		f := acquireFollower(c, tableKey(group))
		defer followers.Release(f, idleFollower)
		wake := f.addReader()
		defer f.removeReader(wake)
		shown := int64(-1)
		for {
			if err := f.Sync(ctx); err != nil {
				yield(table{}, err)
				return
			}
			kvs, ok := f.get()
			revision := int64(0)
			if len(kvs) > 0 {
				revision = kvs[0].ModRevision
			}
			if ok && revision != shown {
				shown = revision
				if !yield(decodeTable(kvs), nil) {
					return
				}
				continue // it may have changed during the yield
			}
			select {
			case <-wake:
			case <-ctx.Done():
				yield(table{}, ctxerr.Of(ctx))
				return
			}
		}
	}
}
