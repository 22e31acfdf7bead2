package queue

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// itemCache knows the items at the front of a queue and hands them, in their order, to the
// consumers of one client, each to one of them. One watch keeps it up to date; it reads only what
// it has not seen come.
//
// It knows all items before the horizon: those of a first read, of at most firstWindow items, and
// those that have come since. When they have all been handed out it reads on from there.
type itemCache struct {
	id   cacheID
	keys keys
	turn chan struct{} // held by the goroutine that reads

	mover    chan struct{} // held by the goroutine that moves delayed items
	dueLimit int64         // how many it reads; its own

	mu      sync.Mutex
	users   int
	idle    *time.Timer // runs while there are no users
	watch   *itemWatch  // nil: none, or it has ended
	err     error       // why there will never be another
	synced  bool
	horizon string  // the first place that is not known; "" if all are
	window  int64   // how many items the last read took at most
	floors  []floor // where what was read comes from
	reading bool    // what comes meanwhile is also kept in early
	early   []gateway.Event
	entries map[string]*entry   // by place
	avail   []*entry            // those to hand out, by place
	held    map[*entry]struct{} // claimed, as far as is known, or given back with a delay
	groups  map[string]group
	slots   []keyState // with a MaxInFlight
	paused  bool
	due     int64 // when the next delayed item is, in milliseconds since 1970, or 0
	newDue  int64 // the earliest of those that came since the last look at all
	dueFrom int64 // no delayed item is due before
	// lookedTo is the end of the range of delayed items of a first read.
	lookedTo int64
	lookedIn *itemWatch // the watch at the last look for delayed items
	// stood is the time until which consumers that wait leave the moving of due items to another
	// process.
	stood   int64
	applied int64 // the revision of the last events
	gaps    gaps
	waiters []*waiter
	armed   bool // it looks again when the first waiter may claim
	// Items of groups that were given back with a delay, and when the first of them is due, or 0.
	postponed map[*entry]struct{}
	resume    int64

	unowned []gateway.Txn // delete claims that are under no lease

	// For the gaps to store.
	removed     int                   // items since the gaps were stored
	storeAfter  int                   // as many
	used        [MaxPriority + 1]bool // priorities of items that were removed
	numbered    [MaxPriority + 1]bool // priorities that had items, as far as is known
	tailCreated int64                 // create_revision of the tail's key
	allBefore   int64                 // the items with smaller numbers are known or gone
	seenAt      int64                 // the revision up to which all new items are known
	refreshed   int64                 // the revision at which all new items were last read
	pausedAt    int64                 // the revision that paused is right at
}

// itemWatch is one watch. Late calls from one that was given up are known by it.
type itemWatch struct {
	stop    func()
	created chan struct{} // closed when it stands, or has ended
}

type cacheID struct {
	c        *gateway.Client
	root     string
	perGroup int

	maxInFlight int
}

// caches is global because several sessions, and Queues, may share a client, and must then not be
// handed the same items.
var caches = struct {
	sync.Mutex
	m map[cacheID]*itemCache
}{m: map[cacheID]*itemCache{}}

func (q *Queue) openCache() *itemCache {
	id := cacheID{q.s.Client(), q.keys.root, q.opt.PerGroup, q.opt.MaxInFlight}
	caches.Lock()
	defer caches.Unlock()
	ic := caches.m[id]
	if ic == nil {
		ic = &itemCache{
			id: id, keys: q.keys, entries: map[string]*entry{}, held: map[*entry]struct{}{},
			turn: make(chan struct{}, 1), mover: make(chan struct{}, 1),
		}
		ic.resetRemoved()
		caches.m[id] = ic
	}
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.users++; ic.users == 1 && ic.idle != nil {
		ic.idle.Stop()
	}
	return ic
}

func (ic *itemCache) release() {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	switch ic.users--; {
	case ic.users > 0 || ic.err != nil:
	case ic.idle == nil:
		ic.idle = time.AfterFunc(idleCache, ic.closeIdle)
	default:
		ic.idle.Reset(idleCache)
	}
}

func (ic *itemCache) closeIdle() {
	caches.Lock()
	defer caches.Unlock()
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.users > 0 {
		return
	}
	ic.forget()
	if ic.watch != nil {
		ic.watch.stop()
		ic.watch = nil
	}
}

// forget takes the cache out of the registry, which must be locked.
func (ic *itemCache) forget() {
	if caches.m[ic.id] == ic {
		delete(caches.m, ic.id)
	}
}

// lock takes the turn to read.
func (ic *itemCache) lock(ctx context.Context) error {
	select {
	case ic.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

func (ic *itemCache) unlock() { <-ic.turn }
