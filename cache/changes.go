package cache

import (
	"context"
	"fmt"
	"iter"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Change is the difference of one key between two states. The keys are shared and must not be
// modified.
type Change struct {
	Key string
	Old *gateway.KeyValue // nil if the key did not exist
	New *gateway.KeyValue // nil if the key does not exist
	// Revision is the revision of the state with New. Changes that were found together have the
	// same, and [Cache.WaitRevision] returns at once for it.
	Revision int64
}

// Changes yields the changes since the call, until ctx or the cache ends. See [Snapshot.Changes]
// for its errors.
func (c *Cache) Changes(ctx context.Context) iter.Seq2[Change, error] {
	return c.Snapshot().Changes(ctx)
}

// Changes yields the changes since the snapshot, in the order of the keys, then those since that
// state, and so on, until ctx or the cache ends. Each change is from the state that was yielded
// before: after all changes of one revision the loop has seen that state, deletions and lost events
// included.
//
// A loop that takes its time delays nothing and keeps only the state that it has seen. The changes
// of a key that were made meanwhile become one change from the first to the last, or none if the
// key came and went. Use [gateway.Client.Watch] for each single event.
//
// The last pair has an empty change and the error: ctx's, [ErrTooLarge] or [ErrClosed].
func (s Snapshot) Changes(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		c := s.cache
		for seen := s.state; ; {
			next := c.latest.Load()
			for before, after := range differences(&seen.table, &next.table) {
				change := Change{Old: before, New: after, Revision: next.revision}
				if change.Key = keyOf(before, after); !yield(change, nil) {
					return
				}
			}
			seen = next
			var err error
			select {
			case <-seen.replaced:
				continue
			case <-ctx.Done():
				err = ctxerr.Of(ctx)
			case <-c.failed:
				err = c.failure
			}
			yield(Change{}, fmt.Errorf("cache: %q: changes: %w", c.prefix, err))
			return
		}
	}
}

func keyOf(before, after *gateway.KeyValue) string {
	if after == nil {
		return before.Key
	}
	return after.Key
}
