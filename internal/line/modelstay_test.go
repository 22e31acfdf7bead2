package line

import (
	"errors"
	"time"
)

// The first member of the model may have a cached key. Its stay, and the mirror that notifies it,
// are the real ones; the goroutine of the cache and its callers are modelled. The turn ends at any
// time. The longest unused time ends only while no other member waits, so that a stay which others
// do not wake waits for ever.

// stayState is the part of a member's stay that is modelled.
type stayState struct {
	watched   bool // the mirror knows the stay
	syncing   bool // the goroutine is about to call Sync
	reviewing bool // and then review
	passes    int
	leaked    bool // the key was passed while a transaction may have been under way
}

// modelTime does not go on.
var modelTime = time.Unix(1, 0)

// mostPasses is the number of holds, after the first, of a stay of the model.
const mostPasses = 1

func (w *world) caches(i int) bool { return w.cached && i == 0 }

func (w *world) startStay(i int) {
	a := &w.members[i]
	c := &cache{line: &Line{}, now: func() time.Time { return modelTime }}
	a.stay = c.newStay(admitted{Member: Member{Key: keyOf(i), Fence: a.fence}})
	c.stay = a.stay
}

func (w *world) endStay(i int) {
	a := &w.members[i]
	if a.stay != nil {
		a.stay.end()
		delete(w.mirrors[w.clientOf(i)].stays, a.stay)
	}
	a.stay, a.stayState = nil, stayState{}
}

func (w *world) cloneStay(i int, was *mirror) {
	a := &w.members[i]
	if a.stay == nil {
		return
	}
	old, same := a.stay, *a.stay
	same.c = &cache{line: old.c.line, now: old.c.now}
	if !old.over {
		same.c.stay = &same
	}
	same.wake = make(chan struct{}, 1)
	if len(old.wake) > 0 {
		signal(same.wake)
	}
	a.stay = &same
	if _, ok := was.stays[old]; ok {
		w.mirrors[w.clientOf(i)].stays[&same] = struct{}{}
	}
}

// passed is a hold of a cached key after the first.
func (w *world) passed(i int) error {
	a := &w.members[i]
	if a.stay.deleted {
		return errors.New("a key that was deleted is passed on")
	}
	a.leaked = a.copies || a.txn == sent || a.txn == applied
	a.passes++
	a.txn = noTxn
	return w.grant(i)
}

// stays returns the steps of a cached key.
func (w *world) stays(i int, all []step) []step {
	a := &w.members[i]
	s := a.stay
	if s == nil {
		return all
	}
	add := func(name string, do func(w *world, a *actor) error) {
		all = append(all, step{i, name, func(w *world) error { return do(w, &w.members[i]) }})
	}
	quiet := !a.copies && a.txn != sent && a.txn != applied || w.plant == exposedPassed
	more := a.passes < mostPasses && (!s.over || w.plant == deletedPassed && s.deleted)
	lasts := s.lasts() || w.plant == deletedPassed && s.deleted
	switch {
	case a.phase == holding && more && quiet && lasts:
		add("pass", func(w *world, _ *actor) error { return w.passed(i) })
	case a.phase == unused && more && s.takeable():
		add("take", func(w *world, a *actor) error {
			a.stay.idle = time.Time{}
			return w.passed(i)
		})
	}
	if a.phase == holding && quiet && s.lasts() && s.mayBeUnused() {
		add("keep", func(_ *world, a *actor) error {
			a.stay.idle = modelTime
			a.phase = unused
			return nil
		})
	}
	w.keeper(i, add)
	return all
}

// keeper returns the steps of the goroutine of a cache, and of its clock.
func (w *world) keeper(i int, add func(string, func(w *world, a *actor) error)) {
	a, m := &w.members[i], w.mirrors[w.clientOf(i)]
	s := a.stay
	do := func(name string, fn func(w *world, a *actor, m *mirror)) {
		add(name, func(w *world, a *actor) error {
			fn(w, a, w.mirrors[w.clientOf(i)])
			return nil
		})
	}
	switch {
	case s.over && a.phase == unused:
		do("finish", func(w *world, _ *actor, _ *mirror) { w.release(i) })
	case s.over:
	case !a.watched:
		do("watch", func(_ *world, a *actor, m *mirror) {
			m.addStay(a.stay)
			a.watched, a.syncing = true, true
		})
	case a.syncing:
		do("Sync", func(w *world, a *actor, m *mirror) {
			w.fill(m)
			a.syncing, a.reviewing = false, true
		})
	case a.reviewing:
		do("review", func(_ *world, a *actor, _ *mirror) {
			a.stay.review(nil)
			a.reviewing = false
		})
	case len(s.wake) > 0:
		do("wake", func(_ *world, a *actor, _ *mirror) {
			<-a.stay.wake
			a.syncing = true
		})
	case a.phase == unused && m.synced && len(w.line) == 1 && w.has(i):
		do("unused for long", func(_ *world, a *actor, _ *mirror) { a.stay.end() })
	}
	if !s.over && !s.alone && s.until.After(modelTime) {
		do("the turn ends", func(_ *world, a *actor, _ *mirror) { a.stay.until = modelTime })
	}
}
