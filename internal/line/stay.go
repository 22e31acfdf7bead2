package line

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
)

// stay is the time from a grant of the line to the deletion of the key, in which the key is passed
// from hold to hold. While no other member stands behind the key, it is passed as often as there
// are waiters, and stays unused for stayIdle at most. From the moment at which another member was
// seen, it is passed to waiters for stayTurn, and deleted once none waits.
//
// A stay has a longest time, stayMost, because a mirror whose watch was cut off shows neither that
// others wait nor that the key was deleted.
//
// A release that may not pass the key deletes it, and its caller learns how that ended. So does a
// release whose hold is not quiet or has shown its fence.
//
// cache.mu guards all fields that change.
type stay struct {
	c      *cache
	me     Member
	wake   chan struct{}      // receives when the state has changed, or the mirror is stale
	cancel context.CancelFunc // ends watch; nil before it

	hold    Hold      // of the caller that uses the key now, or of none
	idle    time.Time // since when no caller uses the key; zero while one does
	over    bool      // the key is not passed any more
	deleted bool      // another client has deleted the key
	alone   bool      // no other member is behind the key
	others  bool      // there is one; false also while that is not known
	until   time.Time // the end of the turn if not alone
	most    time.Time // the end in any case
}

// begin starts a stay with a hold, which it lends. c.mu is held.
func (c *cache) begin(a admitted, h Hold) *stay {
	s := c.newStay(a)
	s.hold = h
	h.Grip.OnPass = s.pass
	c.stay = s
	s.lend()
	return s
}

func (c *cache) newStay(a admitted) *stay {
	now := c.now()
	return &stay{
		c: c, me: a.Member, wake: make(chan struct{}, 1),
		others: a.direct, // in a long line, the members behind are not watched
		until:  now.Add(stayTurn),
		most:   now.Add(stayMost),
	}
}

// take returns the hold for a caller if none uses it and no other member has to wait for that.
func (s *stay) take() (Hold, bool) {
	if s == nil || !s.takeable() {
		return Hold{}, false
	}
	if s.hold.Err() != nil {
		s.end()
		return Hold{}, false
	}
	s.idle = time.Time{}
	return s.hold, true
}

func (s *stay) takeable() bool { return !s.idle.IsZero() && !s.others && s.lasts() }

// lasts reports whether the key may be passed to a caller.
func (s *stay) lasts() bool {
	now := s.c.now()
	return !s.over && now.Before(s.most) && (s.alone || now.Before(s.until))
}

// lend passes the hold to the first waiter, if there is one.
func (s *stay) lend() {
	w := s.c.next()
	if w == nil {
		s.idle = s.c.now()
		return
	}
	s.idle = time.Time{}
	w.hold = s.hold
	close(w.done)
}

// pass is [core.Releaser.OnPass].
func (s *stay) pass(g *core.Releaser) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.lasts() || len(s.c.waiting) == 0 && !s.mayBeUnused() {
		s.end()
		return false
	}
	h, next := g.Successor()
	s.hold = Hold{h, next}
	s.lend()
	return true
}

// mayBeUnused reports whether the key may stay although no caller wants it. With a lock delay it
// may not, because the process would look like a holder if it died.
func (s *stay) mayBeUnused() bool { return !s.others && s.c.line.Delay <= 0 }

// end lets the next release delete the key.
func (s *stay) end() {
	s.over = true
	if s.c.stay == s {
		s.c.stay = nil
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// see notes the state of a mirror of the line.
func (s *stay) see(v Snapshot, synced bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.over {
		return
	}
	at := -1
	if synced {
		at = slices.IndexFunc(v.Members, s.me.is)
	}
	if synced && at < 0 && v.Revision >= s.me.Fence {
		s.deleted = true
		s.end()
		return
	}
	alone := at >= 0 && at == len(v.Members)-1
	if s.alone && !alone {
		s.until = s.c.now().Add(stayTurn)
	}
	s.alone, s.others = alone, at >= 0 && !alone
	signal(s.wake)
}

// watch keeps the mirror of the line complete, and ends the stay when the key was unused for too
// long, or others wait for it. It returns when the stay is over.
//
// In a long line there is no mirror, and nothing shows that the hold was lost. So the stay is over
// after a turn, although the hold may go on. The callers that wait then get another key.
func (s *stay) watch(ctx context.Context) {
	ctx, direct := s.start(ctx)
	defer s.finish(ctx)
	t := time.NewTimer(stayTurn)
	defer t.Stop()
	if direct {
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		return
	}
	m := s.c.line.acquireMirror()
	defer m.release()
	m.addStay(s)
	defer m.removeStay(s)
	for ctx.Err() == nil {
		t.Reset(s.review(s.sync(ctx, m)))
		select {
		case <-s.wake:
		case <-t.C:
		case <-ctx.Done():
		}
	}
}

func (s *stay) start(ctx context.Context) (_ context.Context, direct bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	ctx, s.cancel = context.WithCancel(ctx)
	if s.over {
		s.cancel()
	}
	return ctx, s.others
}

// finish ends a hold whose key was deleted, and releases a hold that no caller uses.
func (s *stay) finish(ctx context.Context) {
	s.c.mu.Lock()
	s.end()
	h, unused, deleted := s.hold, !s.idle.IsZero(), s.deleted
	s.c.mu.Unlock()
	if deleted {
		h.KeyDeleted()
	}
	if unused {
		h.Abandon(ctx)
	}
}

// sync returns the error for which the mirror could not be completed in time.
func (s *stay) sync(ctx context.Context, m *mirror) error {
	ctx, cancel := context.WithTimeout(ctx, stayIdle)
	defer cancel()
	return m.Sync(ctx)
}

// review ends the stay if it must, and returns the time until the next review.
func (s *stay) review(failed error) time.Duration {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	used := s.idle.IsZero()
	left := stayIdle
	if !used {
		left -= s.c.now().Sub(s.idle)
	}
	switch {
	case s.over:
	case failed != nil,
		!used && (!s.mayBeUnused() || left <= 0 || !s.c.now().Before(s.most)):
		s.end()
	case s.takeable() && len(s.c.waiting) > 0:
		s.lend()
	}
	return left
}

func (m *mirror) addStay(s *stay) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stays[s] = struct{}{}
	if m.synced {
		s.see(m.snapshot, true)
	}
}

func (m *mirror) removeStay(s *stay) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.stays, s)
}
