package queue

import (
	"slices"
	"time"
)

// claimFunc begins to claim an item that is handed out. It is called with the feed locked, so that
// the items a session asks for are claimed in their order.
type claimFunc func(e *entry) *claim

// waiter is a consumer that waits for an item. nil tells it to look again.
type waiter struct {
	begin claimFunc
	given chan *claim
}

// state is what a consumer that asks for an item is told.
type state struct {
	claim  *claim  // of the item, or nil
	stale  bool    // sync first, and free what is noted
	more   bool    // extend first
	due    bool    // a delayed item is due: without claim and more, move it first
	waiter *waiter // else it has to wait
	next   int64   // when the next delayed item is due, or 0
}

// empty: there is nothing, as far as is known.
func (st state) empty() bool {
	return !st.stale && !st.more && !st.due && st.claim == nil && st.waiter == nil
}

// next begins to claim the first item. Without one, it makes the caller a waiter, if that is
// wanted.
func (f *itemCache) next(begin claimFunc, wait bool) state {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, due := time.Now().UnixMilli(), f.due
	if wait && due != 0 {
		due = max(due, f.stood)
	}
	st := state{next: due, due: due != 0 && due <= now}
	switch {
	case !f.synced || f.err != nil, wait && len(f.unowned) > 0: // nobody would be woken for these
		st.stale = true
	case !f.paused && len(f.avail) > 0:
		st.claim = begin(f.pop())
	case !f.paused && f.horizon != "":
		st.more = true
	case st.due:
	case wait:
		st.waiter = &waiter{begin, make(chan *claim, 1)}
		f.waiters = append(f.waiters, st.waiter)
	}
	return st
}

// dispatch gives what there is to those who wait.
func (f *itemCache) dispatch() {
	for len(f.waiters) > 0 && len(f.avail) > 0 && !f.paused {
		f.waiters[0].given <- f.waiters[0].begin(f.pop())
		f.waiters = f.waiters[1:]
	}
	if len(f.waiters) > 0 && len(f.avail) == 0 && f.horizon != "" && !f.paused {
		f.waiters[0].given <- nil // to read on
		f.waiters = f.waiters[1:]
	}
	if len(f.entries) > maxKnown && len(f.avail) > maxKnown/2 {
		f.shorten()
	}
}

func (f *itemCache) pop() *entry {
	e := f.avail[0]
	f.avail[0] = nil
	f.avail = f.avail[1:]
	e.listed, e.taken = false, true
	return e
}

// wakeAll makes all waiters look again.
func (f *itemCache) wakeAll() {
	for _, w := range f.waiters {
		w.given <- nil
	}
	f.waiters = nil
}

// first begins to claim the first item, if there is one and the feed need not be read first.
func (f *itemCache) first(begin claimFunc) *claim {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.synced || f.err != nil || f.paused || len(f.avail) == 0 {
		return nil
	}
	return begin(f.pop())
}

// pass makes another waiter read on, if the one who was told to has not.
func (f *itemCache) pass() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dispatch()
}

// leave ends a wait, and returns what was given meanwhile.
func (f *itemCache) leave(w *waiter) *claim {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.waiters, w); i >= 0 {
		f.waiters = slices.Delete(f.waiters, i, i+1)
		return nil
	}
	c := <-w.given
	if c == nil {
		f.dispatch()
	}
	return c
}

// giveBack returns an item that was not claimed, as far as anybody knows.
func (f *itemCache) giveBack(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.back(e)
	f.dispatch()
}

func (f *itemCache) back(e *entry) {
	e.taken = false
	f.list(e)
}

// claimed: the item is this process's since the revision fence.
func (f *itemCache) claimed(e *entry, fence int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.seen < fence {
		e.seen, e.claim = fence, fence
	}
	f.back(e)
}

// returned: this process has taken back its claim of the revision fence.
func (f *itemCache) returned(e *entry, fence int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.over = max(e.over, fence)
	f.back(e)
	f.dispatch()
}

// ended: this process's claim of the revision fence has ended, and the item is still there.
func (f *itemCache) ended(place string, fence int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.entries[place]; e != nil {
		e.over = max(e.over, fence)
		f.list(e)
		f.dispatch()
	}
}

// lost: another's claim was found, created at a revision, or that the item is gone.
func (f *itemCache) lost(e *entry, gone bool, claim int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if gone {
		f.drop(e)
	} else {
		e.stale = claim
	}
	f.back(e)
	f.dispatch()
}
