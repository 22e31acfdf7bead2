package listwatch

import (
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// ID identifies a shared cache. Users of different kinds have caches of their own for a key,
// because they have different reducers.
type ID struct {
	Client    *gateway.Client
	Kind, Key string
}

// Pool holds caches by ID, so that all users of a client share one, and keeps idle caches, so that
// the next user needs no read. C is a reducer that embeds its cache. The zero Pool is empty.
type Pool[C interface{ cache() *Cache }] struct {
	mu sync.Mutex
	m  map[ID]C
}

func (c *Cache) cache() *Cache { return c }

// Acquire returns the cache with an ID, or a new one if there is none or it has failed.
func (p *Pool[C]) Acquire(id ID, newCache func() C) C {
	p.mu.Lock()
	defer p.mu.Unlock()
	shared, ok := p.m[id]
	if !ok || shared.cache().failed() {
		shared = newCache()
		if p.m == nil {
			p.m = map[ID]C{}
		}
		p.m[id] = shared
	}
	c := shared.cache()
	c.id = id
	c.users++
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
	}
	return shared
}

// Release ends the use of a cache. After the last one, the cache is closed unless it is acquired
// again within keep.
func (p *Pool[C]) Release(shared C, keep time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := shared.cache()
	c.users--
	if c.users == 0 {
		c.idle = time.AfterFunc(keep, func() { p.closeIdle(c) })
	}
}

func (p *Pool[C]) closeIdle(c *Cache) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.users > 0 {
		return
	}
	if shared, ok := p.m[c.id]; ok && shared.cache() == c { // else it has failed and was replaced
		delete(p.m, c.id)
	}
	c.Close()
}

// Find returns the cache with an ID, if there is one, without using it: it may be closed at any
// time.
func (p *Pool[C]) Find(id ID) (C, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	shared, ok := p.m[id]
	return shared, ok
}

// InUse reports whether there is a cache with an ID that has users.
func (p *Pool[C]) InUse(id ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	shared, ok := p.m[id]
	return ok && shared.cache().users > 0
}

func (c *Cache) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}
