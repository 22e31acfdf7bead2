package core

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// unwatchedHolds are the holds whose keys are not watched yet, oldest first. One timer serves all.
type unwatchedHolds struct {
	mu          sync.Mutex
	first, last *Releaser
	ticking     bool
}

func (y *unwatchedHolds) add(g *Releaser) {
	y.mu.Lock()
	defer y.mu.Unlock()
	g.born = time.Now()
	if g.prev = y.last; y.last != nil {
		y.last.next = g
	} else {
		y.first = g
	}
	y.last = g
	if !y.ticking {
		y.ticking = true
		time.AfterFunc(ownWatchDelay, y.watch)
	}
}

// remove does nothing if the hold is not in the list.
func (y *unwatchedHolds) remove(g *Releaser) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.unlink(g)
}

func (y *unwatchedHolds) unlink(g *Releaser) {
	if g != y.first && g.prev == nil {
		return
	}
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		y.first = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		y.last = g.prev
	}
	g.prev, g.next = nil, nil
}

// watch starts the watches of the holds that are old enough.
func (y *unwatchedHolds) watch() {
	for {
		y.mu.Lock()
		g := y.first
		if y.ticking = g != nil; !y.ticking {
			y.mu.Unlock()
			return
		}
		if left := ownWatchDelay - time.Since(g.born); left > 0 {
			time.AfterFunc(left, y.watch)
			y.mu.Unlock()
			return
		}
		y.unlink(g)
		y.mu.Unlock()
		g.watch()
	}
}

func (g *Releaser) watch() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == releaseHeld && g.h.Err() == nil {
		k := &keyWatch{s: g.h.s, rev: g.h.fence, gone: g.h.KeyDeleted, free: g.unleased}
		stop := k.start(g.h.key, cmp.Or(g.h.known, g.h.fence))
		context.AfterFunc(g.h.Context(), stop) // also if a lost hold is never released
	}
}

// unleased ends a hold whose key was put again without the session's lease, and deletes the key,
// because it would outlive the session and block others for ever. The key is freed only then,
// because the next member must not find the old incarnation.
func (g *Releaser) unleased() {
	g.mu.Lock()
	ends := g.state == releaseHeld && !g.foreign
	g.foreign = g.foreign || ends
	g.mu.Unlock()
	if !ends {
		return
	}
	g.h.end(lost(ErrKeyDeleted))
	key, lease := g.h.key, g.h.s.lease
	unleased := []gateway.Cmp{g.h.guard(), gateway.CmpLease(key, gateway.NotEqual, lease)}
	g.h.s.Compensate(Write{
		Compensation: onlyIf(unleased, g.deletion[0]), OnResolved: g.free,
	})
}
