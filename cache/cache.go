package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Defaults of [Options].
const (
	DefaultMaxBytes      = 256 << 20
	DefaultPageSize      = 1000
	DefaultCheckInterval = 10 * time.Second
)

// Sentinels for [errors.Is].
var (
	// ErrTooLarge is returned when the keys and values exceed [Options.MaxBytes]. The copy no
	// longer follows etcd then.
	ErrTooLarge = errors.New("prefix too large")
	// ErrClosed is returned after [Cache.Close].
	ErrClosed = errors.New("cache closed")
)

// Options configure a [Cache]. nil means the zero value.
type Options struct {
	// MaxBytes is the largest size of the copy: all keys and values, and 128 bytes for each key.
	// Above it, [Open] returns [ErrTooLarge], and an open cache ends with it. Default 256 MiB.
	MaxBytes int64
	// PageSize is the number of keys that one request loads. A page is held in memory in addition
	// to the copy. Default 1000.
	PageSize int
	// CheckInterval is the pause between two checks whether the copy is up to date, see [Health].
	// Each is a read of one key. Default 10 s.
	CheckInterval time.Duration
}

// Cache is a copy of all keys with a prefix. It is safe for concurrent use. [Cache.Close] releases
// it.
type Cache struct {
	client *gateway.Client
	prefix string
	opt    Options
	copier *copier

	publishing sync.Mutex // held while the next state is made
	latest     atomic.Pointer[state]

	// The keys of the latest state, for Get: a map is several times faster than a search in the
	// state's table.
	mu    sync.RWMutex
	byKey map[string]*gateway.KeyValue

	health health
	asking sync.Mutex // held by the waiter that asks for the progress of the watch

	end     sync.Once
	failure error         // set by end
	failed  chan struct{} // closed by end

	stop context.CancelFunc
	runs sync.WaitGroup
}

// state is the copy at one revision. It does not change.
type state struct {
	table
	revision int64
	replaced chan struct{} // closed when there is a newer state
}

// Open loads all keys that begin with prefix, and returns a copy that follows their changes until
// [Cache.Close]. The empty prefix means all keys. ctx bounds the load only, which reads pages at
// one revision, and starts again if that revision is compacted.
//
// Returns [gateway.ErrInvalid] when there is no client or the options cannot be used, [ErrTooLarge]
// when the keys exceed [Options.MaxBytes], and otherwise the error of ctx or of etcd.
func Open(ctx context.Context, c *gateway.Client, prefix string, opts *Options) (*Cache, error) {
	opt, err := opts.complete()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fmt.Errorf("cache: %w: no client", gateway.ErrInvalid)
	}
	cache := &Cache{
		client: c, prefix: prefix, opt: opt,
		byKey: map[string]*gateway.KeyValue{}, failed: make(chan struct{}),
	}
	cache.latest.Store(&state{replaced: make(chan struct{})})
	cache.copier = newCopier(cache)
	if err := cache.load(ctx); err != nil {
		cache.copier.Close()
		return nil, fmt.Errorf("cache: open %q: %w", prefix, err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // ctx bounds the load only
	cache.stop = stop
	cache.runs.Go(func() { cache.follow(running) })
	cache.runs.Go(func() { cache.check(running) })
	return cache, nil
}

func (o *Options) complete() (Options, error) {
	opt := Options{DefaultMaxBytes, DefaultPageSize, DefaultCheckInterval}
	if o == nil {
		return opt, nil
	}
	if o.MaxBytes < 0 || o.PageSize < 0 || o.CheckInterval < 0 {
		return opt, fmt.Errorf("cache: %w: a negative option", gateway.ErrInvalid)
	}
	if o.MaxBytes > 0 {
		opt.MaxBytes = o.MaxBytes
	}
	if o.PageSize > 0 {
		opt.PageSize = o.PageSize
	}
	if o.CheckInterval > 0 {
		opt.CheckInterval = o.CheckInterval
	}
	return opt, nil
}

// Close ends the copy. Reads go on with the last state; other calls return [ErrClosed]. It may be
// called again.
func (c *Cache) Close() {
	c.fail(ErrClosed)
	c.stop()
	c.copier.Close()
	c.runs.Wait()
}

// fail ends the copy with an error, of which the first counts.
func (c *Cache) fail(err error) {
	c.end.Do(func() {
		c.failure = err
		close(c.failed)
	})
}

// Get returns a key from the copy, without a request and without allocation. ok is false if the key
// does not exist. The value is shared and must not be modified.
func (c *Cache) Get(key string) (kv gateway.KeyValue, ok bool) {
	c.mu.RLock()
	found := c.byKey[key]
	c.mu.RUnlock()
	if found == nil {
		return gateway.KeyValue{}, false
	}
	return *found, true
}

// Len returns the number of keys.
func (c *Cache) Len() int { return c.latest.Load().n }

// Range yields the keys that begin with prefix, in order, all from the state at which the loop
// begins. The values are shared and must not be modified.
func (c *Cache) Range(prefix string) iter.Seq[gateway.KeyValue] {
	return func(yield func(gateway.KeyValue) bool) { c.latest.Load().walk(prefix, yield) }
}

// Snapshot returns the present state. It costs nothing until the keys have changed.
func (c *Cache) Snapshot() Snapshot { return Snapshot{c, c.latest.Load()} }

// Revision returns the revision of the present state. It grows with each change of a key in the
// cache, and with each check, see [Options.CheckInterval].
func (c *Cache) Revision() int64 { return c.latest.Load().revision }

// Snapshot is the copy at one revision. It does not change, and it stays usable after
// [Cache.Close]. While it is referenced, it keeps the keys alive that have changed since. It is
// safe for concurrent use. The zero Snapshot has no methods.
type Snapshot struct {
	cache *Cache
	state *state
}

// Revision returns the revision of the snapshot.
func (s Snapshot) Revision() int64 { return s.state.revision }

// Len returns the number of keys.
func (s Snapshot) Len() int { return s.state.n }

// Get returns a key, without allocation. ok is false if the key does not exist. The value is shared
// and must not be modified.
func (s Snapshot) Get(key string) (kv gateway.KeyValue, ok bool) {
	found := s.state.get(key)
	if found == nil {
		return gateway.KeyValue{}, false
	}
	return *found, true
}

// Range yields the keys that begin with prefix, in order. The values are shared and must not be
// modified.
func (s Snapshot) Range(prefix string) iter.Seq[gateway.KeyValue] {
	return func(yield func(gateway.KeyValue) bool) { s.state.walk(prefix, yield) }
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
