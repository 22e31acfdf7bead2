package queue

import (
	"slices"
	"time"
)

// claimFunc begins to claim an item that the cache hands out. It is called with the cache locked,
// so that a session claims items in their order.
type claimFunc func(e *entry) *claim

// waiter is a consumer that waits for an item. nil tells it to look again.
type waiter struct {
	begin claimFunc
	pace  *pace
	given chan *claim
}

// state is what a consumer that asks for an item is told.
type state struct {
	claim  *claim  // of the item, or nil
	stale  bool    // sync first, and delete the noted claims
	more   bool    // extend first
	due    bool    // a delayed item is due: without claim and more, move it first
	waiter *waiter // else it has to wait
	next   int64   // when the next delayed item, or one of a group, is due, or 0
}

// empty: there is nothing, as far as is known.
func (st state) empty() bool {
	return !st.stale && !st.more && !st.due && st.claim == nil && st.waiter == nil
}

// next begins to claim the first item. Without one, or if the pace does not let the caller claim it
// yet, it makes the caller a waiter, if that is wanted.
func (ic *itemCache) next(begin claimFunc, wait bool, p *pace) state {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	now, due := time.Now().UnixMilli(), ic.due
	if wait && due != 0 {
		due = max(due, ic.stood)
	}
	ic.endPostponed(now)
	st := state{next: earlier(due, ic.resume), due: due != 0 && due <= now}
	blocked := ic.paused || ic.full()
	switch {
	case !ic.synced || ic.err != nil, wait && len(ic.unowned) > 0: // these would wake no caller
		st.stale = true
	case !blocked && len(ic.avail) > 0 &&
		(!wait || len(ic.waiters) == 0 && p.mayClaim(len(ic.avail)) == 0):
		p.claims(1, len(ic.avail))
		st.claim = begin(ic.pop())
	case !blocked && len(ic.avail) == 0 && ic.horizon != "":
		st.more = true
	case st.due:
	case wait:
		st.waiter = &waiter{begin, p, make(chan *claim, 1)}
		ic.waiters = append(ic.waiters, st.waiter)
		ic.dispatch() // a claim that waits for others
	}
	return st
}

// dispatch gives what there is to those who wait.
func (ic *itemCache) dispatch() {
	var open *pace // it lets all waiters claim now
	for len(ic.waiters) > 0 && len(ic.avail) > 0 && !ic.paused && !ic.full() {
		w := ic.waiters[0]
		if w.pace != open {
			if rest := w.pace.mayClaim(len(ic.avail)); rest > 0 {
				ic.arm(rest)
				break
			}
			open = w.pace
			open.claims(len(ic.waiters), len(ic.avail))
		}
		w.given <- w.begin(ic.pop())
		ic.waiters = ic.waiters[1:]
	}
	if len(ic.waiters) > 0 && len(ic.avail) == 0 && ic.horizon != "" &&
		!ic.paused && !ic.full() { // else it would wait again, and be told again
		ic.waiters[0].given <- nil // to read on
		ic.waiters = ic.waiters[1:]
	}
	if len(ic.entries) > maxKnown && len(ic.avail) > maxKnown/2 {
		ic.shorten()
	}
}

func (ic *itemCache) pop() *entry {
	e := ic.avail[0]
	ic.avail[0] = nil
	ic.avail = ic.avail[1:]
	e.listed, e.taken = false, true
	return e
}

// wakeAll makes all waiters look again.
func (ic *itemCache) wakeAll() {
	for _, w := range ic.waiters {
		w.given <- nil
	}
	ic.waiters = nil
}

// available returns how many items can be claimed.
func (ic *itemCache) available() int {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.paused || ic.full() {
		return 0
	}
	return len(ic.avail)
}

// first begins to claim the first item ahead of callers, if there is one, no caller waits for it,
// and the cache need not be read first.
func (ic *itemCache) first(begin claimFunc) *claim {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if !ic.synced || ic.err != nil || ic.paused || len(ic.avail) == 0 || ic.full() ||
		len(ic.waiters) > 0 {
		return nil
	}
	return begin(ic.pop())
}

// pass makes another waiter read on, if the one who was told to has not.
func (ic *itemCache) pass() {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.dispatch()
}

// leave ends a wait, and returns what was given meanwhile.
func (ic *itemCache) leave(w *waiter) *claim {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if i := slices.Index(ic.waiters, w); i >= 0 {
		ic.waiters = slices.Delete(ic.waiters, i, i+1)
		return nil
	}
	c := <-w.given
	if c == nil {
		ic.dispatch()
	}
	return c
}

// giveBack returns an item that was not claimed, as far as anybody knows.
func (ic *itemCache) giveBack(e *entry) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.back(e)
	ic.dispatch()
}

func (ic *itemCache) back(e *entry) {
	e.taken = false
	ic.list(e)
}

// claimed: the item is this process's since the revision fence. It returns false if the watch has
// reported that another client has deleted the claim since.
func (ic *itemCache) claimed(e *entry, fence int64) (still bool) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if e.seen < fence {
		e.seen, e.claim = fence, fence
	}
	ic.back(e)
	still = e.claim == fence
	if now := ic.entries[e.place]; now != nil && now.seen > fence { // read again, perhaps
		still = now.claim == fence
	}
	return still
}

// returned: this process has taken back its claim of the revision fence.
func (ic *itemCache) returned(e *entry, fence int64) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	e.over = max(e.over, fence)
	ic.back(e)
	ic.dispatch()
}

// ended: this process's claim of the revision fence has ended, and the item is still there.
func (ic *itemCache) ended(place string, fence int64) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if e := ic.entries[place]; e != nil {
		e.over = max(e.over, fence)
		ic.list(e)
		ic.dispatch()
	}
}

// settled: this process has removed the item, which the watch may report later.
func (ic *itemCache) settled(gone *entry) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if e := ic.entries[gone.place]; e != nil && e.create == gone.create {
		ic.drop(e)
		ic.dispatch()
	}
}

// lost: a claim has found another's claim, or that the item is gone. The other claim may be older
// than all that the cache knows of the item, because foreign keys may be put in any order.
func (ic *itemCache) lost(c *claim) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	e := c.entry
	switch {
	case c.gone:
		ic.drop(e)
	case c.found != nil && c.foundAt >= e.seen: // the answer is right at its revision
		ic.saw(&e.keyState, c.foundAt, *c.found, true)
	}
	ic.back(e)
	ic.dispatch()
}
