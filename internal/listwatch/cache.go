// Package listwatch keeps copies of keys up to date: a [Cache] watches the keys, reads them once,
// and then applies every event above the revision of the read.
//
// # Usage
//
// A [Reducer] embeds a cache and holds the copy. [Cache.Sync] returns when the copy is complete,
// and does the work that this needs in the goroutine of its caller. A cache whose copy is known
// starts with [Cache.StartAt] instead, and reads only after it has missed events. A [Pool] shares
// caches among the users of a client and keeps idle ones for a while.
//
// # Guarantees
//
// Between a List and the next Stale, the reducer receives all events above the revision of the
// read, once and in order. It receives no late events of a watch that has ended.
//
// # Limitations
//
// The events before a read are buffered in memory, without a limit unless [Cache.Bound] sets one.
//
// # Concurrency
//
// A cache starts no goroutine: the goroutine that reads the client's stream applies the events.
// The methods of [Cache] and [Pool] are safe for concurrent use. A reducer may call Close, but no
// other method.
package listwatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Reducer holds the copy of the keys that a [Cache] watches. Calls of List, Apply and Stale do not
// overlap. They must not block, because the goroutine that reads the client's stream makes them.
type Reducer interface {
	// Read reads the keys, all at the revision that it returns in the header. It runs in the
	// goroutine of a [Cache.Sync], and may make several requests. See [Cache.Read].
	Read(ctx context.Context) (*gateway.GetResponse, error)
	// List replaces the copy by the result of Read.
	List(read *gateway.GetResponse)
	// Apply changes the copy by the events of one revision. If several keys are watched, each has
	// a call of its own.
	Apply(events []gateway.Event)
	// Stale reports that the copy, which was complete, misses events from now on. The next
	// [Cache.Sync] completes it again, or returns the reason why that is impossible.
	Stale()
}

// ProgressReducer is a [Reducer] that is notified of the progress of a watch, which must have
// [gateway.ProgressNotify]. It is called as Apply is.
type ProgressReducer interface {
	Reducer
	// Progress reports that the copy has all events up to a revision.
	Progress(revision int64)
}

// ErrBuffer is returned by [Cache.Sync] when the events before a read exceed [Cache.Bound].
var ErrBuffer = errors.New("too many events before the read")

// Cache keeps the copy of a [Reducer] up to date.
type Cache struct {
	Patient bool // see [gateway.Patient]; must not change after the first call

	client  *gateway.Client
	reducer Reducer
	keys    []string
	opts    []gateway.Option
	perKey  map[string][]gateway.Option // of the watch of a key alone
	bound   int64                       // of the buffered events, in bytes; 0 is none
	turn    chan struct{}               // held by the Sync that does the work

	calls        sync.Mutex // held during the calls of the reducer; before mu
	readRevision int64      // of the last read or StartAt; guarded by calls

	mu     sync.Mutex // not held during the calls of the reducer, which may call Close
	watch  *watch     // nil if there is none or it has ended
	synced bool       // the copy is complete
	err    error      // if set, no further watch is started

	// Guarded by the pool.
	id    ID
	users int
	idle  *time.Timer // set while there are no users
}

// New returns a cache that watches and reads each of the keys with opts. It does nothing before
// Sync or StartAt.
func New(c *gateway.Client, r Reducer, keys []string, opts ...gateway.Option) *Cache {
	return &Cache{client: c, reducer: r, keys: keys, opts: opts, turn: make(chan struct{}, 1)}
}

// Bound limits the events that are buffered before a read, in bytes of keys and values. Above it,
// the cache has failed with [ErrBuffer]. It must be called before the first Sync.
func (c *Cache) Bound(bytes int64) { c.bound = bytes }

// WatchOptions adds options to the watch of one of the keys, but not to its read. It must be called
// before the first Sync or StartAt.
func (c *Cache) WatchOptions(key string, opts ...gateway.Option) {
	if c.perKey == nil {
		c.perKey = map[string][]gateway.Option{}
	}
	c.perKey[key] = append(c.perKey[key], opts...)
}

// StartAt starts the watch of a cache whose copy is complete at a revision. It must be the first
// call. If it fails, the client is closed.
func (c *Cache) StartAt(revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// After a compaction, a watch from now on at a member that lags may deliver older events.
	c.readRevision, c.synced = revision, true // not under calls, because no watch makes calls yet
	c.start(gateway.AtRevision(revision + 1))
}

// Sync returns nil when the copy is complete. One of the callers does the work. Returns the error
// of the watch when it has failed (see end), the error of [Reducer.Read] when that failed,
// [gateway.ErrClosed] when the cache or the client is closed, and ctx's error when ctx ends first.
func (c *Cache) Sync(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
	for {
		w, created, err := c.current()
		if w == nil {
			return err
		}
		if !created {
			select {
			case <-w.ready:
				continue
			case <-ctx.Done():
				return ctxerr.Of(ctx)
			}
		}
		read, err := c.reducer.Read(ctx)
		if err != nil {
			return err
		}
		c.list(w, read)
	}
}

// Read reads all keys in one request.
func (c *Cache) Read(ctx context.Context) (*gateway.GetResponse, error) {
	if len(c.keys) == 1 {
		return c.client.Get(ctx, c.keys[0], c.opts...)
	}
	var txn gateway.Txn
	for _, key := range c.keys {
		txn.Then = append(txn.Then, gateway.OpGet(key, c.opts...))
	}
	resp, err := c.client.Txn(ctx, txn)
	if err != nil {
		return nil, err
	}
	read := &gateway.GetResponse{Header: resp.Header}
	for _, r := range resp.Responses {
		read.KVs = append(read.KVs, r.Get.KVs...)
	}
	return read, nil
}

// Reset lets the next Sync start a watch again after one that has failed. It does not open a closed
// cache.
func (c *Cache) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !errors.Is(c.err, gateway.ErrClosed) {
		c.err = nil
	}
}

// Close stops the watch. A call of the reducer may be in flight when it returns.
func (c *Cache) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(gateway.ErrClosed)
}
