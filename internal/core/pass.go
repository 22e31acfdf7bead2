package core

import "slices"

// A release can pass the key to another hold of the session instead of deleting it. The two holds
// have the same fence, so a release passes the key only if the hold is quiet and no caller has
// asked for its fence. After that, the fence of the released hold is 0.

// OnPass sets a function that a release calls before it deletes the key, if it may pass the key. If
// the function returns true, it has made the successor of the hold, and the key is not deleted. The
// successor has the same function. It must not block. OnPass must not be called once others may
// release the hold.
func (g *Releaser) OnPass(fn func(*Releaser) bool) { g.pass = fn }

// Successor returns a new hold of the key. Only the function of [Releaser.OnPass] calls it.
func (g *Releaser) Successor() (*Hold, *Releaser) {
	h, next := g.h.s.Hold(g.h.key, g.h.fence, g.free)
	next.with.Then, next.quiet, next.pass = slices.Clip(g.with.Then), g.quiet, g.pass
	return h, next
}

// passes reports whether a release of a quiet hold has passed the key.
func (g *Releaser) passes() bool {
	if g.pass == nil || g.whole || !g.h.markPassed() {
		return false
	}
	if !g.pass(g) {
		g.h.mu.Lock()
		defer g.h.mu.Unlock()
		g.h.under.passed = false
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = releaseDone
	return true
}

// markPassed marks the hold as passed, or returns false if its fence is known.
func (h *Hold) markPassed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.under.passed = !h.under.shown
	return h.under.passed
}
