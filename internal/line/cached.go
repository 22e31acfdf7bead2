package line

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Lock caching. The goroutines of a session that enter a line by [Line.EnterCached] wait for each
// other in this process, and one key stands in the line for all of them. A release keeps the key
// for the next of them, see stay.go.

// caches are the caches of all sessions, by cacheID.
var caches sync.Map

type cacheID struct {
	session *core.Session
	name    string
}

// cache is a line that a session enters with one key at a time. A goroutine of the session joins
// the line and watches it, while there is a key or a waiter.
type cache struct {
	line *Line
	join Join
	now  func() time.Time

	mu      sync.Mutex
	running bool // the goroutine was started
	over    bool // the goroutine has ended, and the cache is no longer in caches
	waiting []*cacheWaiter
	leave   context.CancelFunc // ends the join; nil while there is none
	stay    *stay              // the last one; nil once its key may not be passed any more
}

// cacheWaiter is a call of EnterCached that waits.
type cacheWaiter struct {
	ctx  context.Context //nolint:containedctx // of the caller, for the requests of the join
	done chan struct{}   // closed when hold or err is set
	hold Hold
	err  error
}

func (l *Line) cacheID() cacheID { return cacheID{l.Session, l.Name} }

// EnterCached is [Line.Enter] with a key that may stay after the release, for the next EnterCached
// of the session. Lines with one name may only differ in their MaxHold.
func (l *Line) EnterCached(ctx context.Context, j Join) (Hold, error) {
	asked := time.Now()
	if err := l.Check(ctx); err != nil {
		return Hold{}, err
	}
	for {
		found, ok := caches.Load(l.cacheID())
		if !ok {
			j.Standby = true // its callers are reported as waiting
			found, _ = caches.LoadOrStore(l.cacheID(), &cache{line: l, join: j, now: time.Now})
		}
		c, _ := found.(*cache)
		h, w, err := c.enter(ctx)
		if w != nil {
			h, err = c.await(ctx, w)
		}
		if err != nil {
			return Hold{}, err
		}
		if h.Hold != nil {
			return l.hand(ctx, asked, h)
		}
	}
}

// TryCached is [Line.Try], which also gets the key of an EnterCached that no caller of the session
// uses. It leaves no key after its release otherwise.
func (l *Line) TryCached(ctx context.Context, j Join) (Hold, error) {
	asked := time.Now()
	if err := l.Check(ctx); err != nil {
		return Hold{}, err
	}
	if found, ok := caches.Load(l.cacheID()); ok {
		c, _ := found.(*cache)
		h, held := c.try()
		switch {
		case h.Hold != nil:
			return l.hand(ctx, asked, h)
		case held.Key != "":
			return Hold{}, &OccupiedError{Snapshot{Members: []Member{held}}}
		}
	}
	return l.Try(ctx, j)
}

// enter returns the hold if no caller uses it, and else a waiter. If the cache is over it returns
// neither, or the session's error.
func (c *cache) enter(ctx context.Context) (Hold, *cacheWaiter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.stay.take(); ok {
		return h, nil, nil
	}
	if !c.running && !c.over {
		c.running = c.line.Session.Background(c.run)
		if !c.running {
			c.end()
		}
	}
	if c.over {
		return Hold{}, nil, c.line.Session.Err()
	}
	w := &cacheWaiter{ctx: ctx, done: make(chan struct{})}
	c.waiting = append(c.waiting, w)
	return Hold{}, w, nil
}

// try returns the hold if no caller uses it, and else the member that the session uses.
func (c *cache) try() (Hold, Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.stay.take(); ok || c.stay == nil {
		return h, Member{}
	}
	return Hold{}, c.stay.me
}

// await returns the hold that is passed to a waiter.
func (c *cache) await(ctx context.Context, w *cacheWaiter) (Hold, error) {
	defer c.line.Session.ObserveWait(ctx,
		core.HoldInfo{Kind: c.line.Kind, Name: c.line.Name})()
	select {
	case <-w.done:
		return w.hold, w.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.waiting, w)
	if i < 0 {
		return w.hold, w.err
	}
	c.waiting = slices.Delete(c.waiting, i, i+1)
	if len(c.waiting) == 0 && c.leave != nil {
		c.leave()
	}
	return Hold{}, c.line.endCause(ctx, ctxerr.Of(ctx))
}

// next removes the first waiter, or returns nil if there is none. c.mu is held.
func (c *cache) next() *cacheWaiter {
	if len(c.waiting) == 0 {
		return nil
	}
	w := c.waiting[0]
	c.waiting[0] = nil
	c.waiting = c.waiting[1:]
	return w
}

// end removes the cache, so that the next EnterCached makes another. c.mu is held.
func (c *cache) end() {
	c.over = true
	caches.CompareAndDelete(c.line.cacheID(), c)
}

// run is the cache's goroutine. It ends when no caller waits after a stay.
func (c *cache) run(ctx context.Context) {
	for {
		s, err := c.reach() //nolint:contextcheck // it has the context of a waiter
		if s == nil && !c.fail(ctx, err) {
			return
		}
		if s != nil {
			s.watch(ctx)
		}
	}
}

// reach enters the line on behalf of the waiters, until it is admitted or all have left. It has the
// values of the context of the first of them.
func (c *cache) reach() (*stay, error) {
	c.mu.Lock()
	if len(c.waiting) == 0 {
		c.mu.Unlock()
		return nil, nil
	}
	ctx, leave := context.WithCancel(context.WithoutCancel(c.waiting[0].ctx))
	c.leave = leave
	c.mu.Unlock()
	a, err := c.line.reach(ctx, c.join)
	var h Hold
	if err == nil {
		a.marks = false // the key may be passed on
		h, err = c.line.hold(ctx, a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	left := ctx.Err() != nil
	leave()
	c.leave = nil
	switch {
	case err != nil && left:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return c.begin(a, h), nil
}

// fail passes an error to the waiters. It returns false, and ends the cache, if no caller waits any
// more or the session has ended.
func (c *cache) fail(ctx context.Context, err error) (goOn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	for err != nil && len(c.waiting) > 0 {
		w := c.next()
		w.err = err
		close(w.done)
	}
	if len(c.waiting) == 0 {
		c.end()
	}
	return !c.over
}
