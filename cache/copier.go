package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// copier is the reducer that keeps a cache up to date. The goroutine that reads the client's stream
// calls it, so it never waits for a user of the cache.
type copier struct {
	*listwatch.Cache
	c      *Cache
	loaded table         // by the last Read
	asked  time.Time     // the time at which that began
	stale  chan struct{} // receives when the copy is to be completed again
}

var _ listwatch.ProgressReducer = (*copier)(nil)

func newCopier(c *Cache) *copier {
	cp := &copier{c: c, stale: make(chan struct{}, 1)}
	cp.Cache = listwatch.New(c.client, cp, []string{c.prefix}, gateway.Prefix(),
		gateway.ProgressNotify())
	cp.Bound(c.opt.MaxBytes)
	return cp
}

// Read loads the keys in pages at one revision. It keeps the old key where nothing has changed, so
// that a repeated load needs memory only for the differences.
func (cp *copier) Read(ctx context.Context) (*gateway.GetResponse, error) {
	cp.asked = time.Now()
	cp.loaded = table{}
	old := cp.c.latest.Load()
	read := &gateway.GetResponse{}
	pages := cp.c.client.Pages(ctx, cp.c.prefix, int64(cp.c.opt.PageSize), gateway.Prefix())
	for page, err := range pages {
		if err != nil {
			return nil, err
		}
		for i := range page.KVs {
			kv := new(page.KVs[i]) // a copy, so that the page can be freed
			if known := old.get(kv.Key); known != nil && known.ModRevision == kv.ModRevision {
				kv = known
			}
			cp.loaded.add(kv)
		}
		if err := cp.c.tooLarge(cp.loaded.size); err != nil {
			return nil, err
		}
		read.Revision = page.Revision
	}
	return read, nil
}

func (c *Cache) tooLarge(size int64) error {
	if size <= c.opt.MaxBytes {
		return nil
	}
	return fmt.Errorf("%w: %d bytes, %d are allowed", ErrTooLarge, size, c.opt.MaxBytes)
}

// List publishes the loaded keys.
func (cp *copier) List(read *gateway.GetResponse) {
	loaded := cp.loaded
	cp.loaded = table{}
	cp.c.publish(read.Revision, func(*table) table { return loaded })
	cp.c.health.confirm(read.Revision, cp.asked)
}

// Apply publishes the state after the events of one revision.
func (cp *copier) Apply(events []gateway.Event) {
	cp.c.publish(events[0].KV.ModRevision, func(t *table) table { return t.with(events) })
	if err := cp.c.tooLarge(cp.c.latest.Load().size); err != nil {
		cp.c.fail(err)
		cp.Close()
	}
}

// Progress publishes a later revision of the same state.
func (cp *copier) Progress(revision int64) {
	cp.c.publish(revision, func(t *table) table { return *t })
}

// Stale lets the cache complete the copy again.
func (cp *copier) Stale() {
	select {
	case cp.stale <- struct{}{}:
	default:
	}
}

// publish replaces the state by the one at a later revision. It ignores an older revision, which
// the state includes, so that the copy never goes backwards.
func (c *Cache) publish(revision int64, change func(*table) table) {
	c.publishing.Lock()
	defer c.publishing.Unlock()
	old := c.latest.Load()
	if revision <= old.revision {
		return
	}
	next := &state{change(&old.table), revision, make(chan struct{})}
	c.mu.Lock()
	for before, after := range differences(&old.table, &next.table) {
		if after == nil {
			delete(c.byKey, before.Key)
		} else {
			c.byKey[after.Key] = after
		}
	}
	c.latest.Store(next)
	c.mu.Unlock()
	close(old.replaced)
}

// load completes the copy for the first time.
func (c *Cache) load(ctx context.Context) error {
	for {
		err := c.copier.Sync(ctx)
		if !errors.Is(err, gateway.ErrCompacted) {
			return c.limited(err)
		}
		wait(ctx, compactedPause)
	}
}

// limited names the limit of the cache that was exceeded.
func (c *Cache) limited(err error) error {
	if errors.Is(err, listwatch.ErrBuffer) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return err
}

// compactedPause is the pause before a load whose revision was compacted is repeated.
const compactedPause = 100 * time.Millisecond

// maxPause is the longest pause between two attempts to complete the copy.
const maxPause = 30 * time.Second

// follow completes the copy each time that events were lost, until ctx ends or the cache cannot go
// on.
func (c *Cache) follow(ctx context.Context) {
	for pause := compactedPause; ; {
		err := c.limited(c.copier.Sync(ctx))
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrTooLarge), errors.Is(err, gateway.ErrClosed):
			c.fail(err)
			c.copier.Close()
			return
		case err != nil:
			c.health.fail(err, true)
			wait(ctx, pause/2+rand.N(pause/2))
			pause = min(2*pause, maxPause)
			c.copier.Reset()
			continue
		}
		pause = compactedPause
		select {
		case <-c.copier.stale:
		case <-ctx.Done():
			return
		}
	}
}
