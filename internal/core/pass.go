package core

import "slices"

// A release can pass the key to another hold of the session instead of deleting it. The two holds
// have the same fence, so a release passes the key only if the hold is quiet and no caller has
// asked for its fence. After that, the fence of the released hold is 0.

// Successor returns a new hold of the key, with the same functions. Only OnPass calls it.
func (g *Releaser) Successor() (*Hold, *Releaser) {
	h, next := g.h.s.Hold(g.h.key, g.h.fence, g.free)
	next.with.Then, next.OnQuiet, next.OnPass = slices.Clip(g.with.Then), g.OnQuiet, g.OnPass
	return h, next
}

// passes reports whether a release of a quiet hold has passed the key.
func (g *Releaser) passes() bool {
	if g.OnPass == nil || g.whole || !g.h.markPassed() {
		return false
	}
	if !g.OnPass(g) {
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
