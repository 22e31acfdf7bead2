package cache

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

const (
	// askAfter is the time for which a wait relies on the events of the keys.
	askAfter = 10 * time.Millisecond
	// readAfter is the time for which a wait relies on the progress of the watch, which is not
	// reported through every proxy.
	readAfter = time.Second
)

// WaitRevision returns when the copy includes everything that was committed up to a revision, such
// as the Revision in the response to a write. If no key of the cache was written at it, the cache
// asks etcd for the progress of its watch, and after a second it compares the copy with the names
// of all keys that have changed.
//
// Returns the error of ctx when ctx ends first, as it does for a revision of the future, and
// [ErrTooLarge] or [ErrClosed] when the copy has ended.
func (c *Cache) WaitRevision(ctx context.Context, revision int64) error {
	begun, pause := time.Now(), askAfter
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		var err error
		s := c.latest.Load()
		if s.revision >= revision {
			return nil
		}
		select {
		case <-s.replaced:
		case <-timer.C:
			c.ask(ctx, s, time.Since(begun) >= readAfter)
			pause = min(2*pause, readAfter)
			timer.Reset(pause)
		case <-c.failed:
			err = c.failure
		case <-ctx.Done():
			err = ctxerr.Of(ctx)
		}
		if err != nil {
			return fmt.Errorf("cache: %q: revision %d: %w", c.prefix, revision, err)
		}
	}
}

// ask tries to find out that the copy is complete at a later revision. One waiter does it for all.
// Errors are ignored, because the waiter tries again.
func (c *Cache) ask(ctx context.Context, s *state, read bool) {
	if !c.asking.TryLock() {
		return
	}
	defer c.asking.Unlock()
	if !read {
		_ = c.client.RequestProgress()
		return
	}
	// The waiter must notice that the copy has ended, also while etcd does not answer.
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-s.replaced:
		case <-c.failed:
		case <-ctx.Done():
		}
		cancel()
	})
	defer watching.Wait()
	defer cancel()
	resp, err := c.client.Get(ctx, c.prefix, gateway.Prefix(), gateway.KeysOnly(),
		gateway.MinModRevision(s.revision+1), gateway.Limit(1))
	if err != nil || len(resp.KVs) > 0 || resp.Count != int64(s.n) {
		return
	}
	// No key has changed since the state, and as many exist, so that none was deleted. Until the
	// revision, a late watch can only deliver keys that came and went. These are ignored.
	c.publish(resp.Revision, func(*table) table { return s.table })
}
