package listwatch

import (
	"errors"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// watch is one watch of all keys of a cache. Its address identifies late calls from a watch that
// was replaced.
type watch struct {
	stops    []func()
	creating int             // the keys whose watch is not created yet
	ready    chan struct{}   // closed when all are created, or the watch has ended
	buffered []gateway.Event // received before the read
	bytes    int64           // of the keys and values in buffered
}

// current returns the watch after whose creation the keys are to be read, and starts it if there is
// none. It returns no watch if the copy is complete, or with the reason why it cannot be.
func (c *Cache) current() (_ *watch, created bool, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch == nil && c.err == nil {
		c.start()
	}
	if c.watch == nil || c.synced {
		return nil, false, c.err
	}
	return c.watch, c.watch.creating == 0, nil
}

// start starts a watch of each key. mu must be locked.
func (c *Cache) start(opts ...gateway.Option) {
	w := &watch{creating: len(c.keys), ready: make(chan struct{})}
	c.watch = w
	opts = slices.Concat(c.opts, opts)
	if c.Patient {
		opts = append(opts, gateway.Patient())
	}
	for _, key := range c.keys {
		stop, err := c.client.WatchFunc(key,
			func(r gateway.WatchResponse) { c.handle(w, r) }, slices.Concat(opts, c.perKey[key])...)
		if err != nil {
			c.end(err)
			return
		}
		w.stops = append(w.stops, stop)
	}
}

// end ends the watch. It is the only place that decides how a cache goes on after that. mu must be
// locked.
//
//   - After a cut, or the failure of a member, gateway resumes the watch, and end is not called.
//   - After a compaction, events are lost. The next Sync starts a watch from now on, waits until it
//     is created, and then reads. That order misses nothing.
//   - After any other error (no permission, no endpoint that can be used), or if the events before
//     a read exceed the bound, the cache has failed: each Sync returns the error, until a Reset. A
//     new user of a [Pool] gets a new cache.
//   - After Close, or with a closed client, the cache has failed for ever.
func (c *Cache) end(err error) {
	if !errors.Is(err, gateway.ErrCompacted) {
		c.err = err
	}
	w := c.watch
	c.watch, c.synced = nil, false
	if w == nil {
		return
	}
	for _, stop := range w.stops {
		stop()
	}
	if w.creating > 0 {
		close(w.ready)
	}
}

// handle runs in the goroutine that reads the client's stream.
func (c *Cache) handle(w *watch, r gateway.WatchResponse) {
	c.calls.Lock()
	defer c.calls.Unlock()
	events, stale := c.receive(w, r)
	switch {
	case stale:
		c.reducer.Stale()
	case len(events) > 0:
		c.apply(events)
		c.complete(w)
	case r.Progress:
		if p, ok := c.reducer.(ProgressReducer); ok && c.isComplete(w) {
			p.Progress(r.Revision)
		}
	}
}

// receive returns the events to apply. stale reports that the copy was complete until now.
func (c *Cache) receive(w *watch, r gateway.WatchResponse) (events []gateway.Event, stale bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.watch != w: // it was replaced
		return nil, false
	case r.Err != nil:
		stale = c.synced
		c.end(r.Err)
		return nil, stale
	case r.Created:
		if w.creating--; w.creating == 0 {
			close(w.ready)
		}
		return nil, false
	case c.synced || c.single():
		return r.Events, false
	}
	w.buffered = append(w.buffered, r.Events...)
	for _, ev := range r.Events {
		w.bytes += int64(len(ev.KV.Key) + len(ev.KV.Value))
	}
	if c.bound > 0 && w.bytes > c.bound {
		c.end(ErrBuffer)
	}
	return nil, false
}

// single reports that an event has the whole state, because the cache has only one key. Its copy is
// complete after an event, also if the read fails or is late.
func (c *Cache) single() bool {
	return len(c.keys) == 1 && len(c.opts) == 0 && len(c.perKey) == 0
}

// list passes a read that was made after w was created to the reducer, and then the events since.
func (c *Cache) list(w *watch, read *gateway.GetResponse) {
	c.calls.Lock()
	defer c.calls.Unlock()
	c.mu.Lock()
	late, buffered := c.watch != w || c.synced, w.buffered
	w.buffered = nil
	c.mu.Unlock()
	if late {
		return
	}
	c.readRevision = read.Revision
	c.reducer.List(read)
	c.apply(buffered)
	c.complete(w)
}

// complete records that the copy is complete, unless the reducer has closed the cache.
func (c *Cache) complete(w *watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = c.watch == w
}

func (c *Cache) isComplete(w *watch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watch == w && c.synced
}

// apply passes events to the reducer, except those that the read includes. calls must be locked.
func (c *Cache) apply(events []gateway.Event) {
	for len(events) > 0 {
		revision, n := events[0].KV.ModRevision, 1
		for n < len(events) && events[n].KV.ModRevision == revision {
			n++
		}
		if revision > c.readRevision {
			c.reducer.Apply(events[:n])
		}
		events = events[n:]
	}
}
