package line

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// step is one thing that may happen next.
type step struct {
	who  int // the member; behind these, the mirrors
	name string
	do   func(w *world) error
}

func (s step) String() string {
	if s.who >= 3 {
		return fmt.Sprintf("mirror %d: %s", s.who-3, s.name)
	}
	return fmt.Sprintf("%d: %s", s.who, s.name)
}

// always is a step that cannot break a rule.
func always(do func(w *world)) func(w *world) error {
	return func(w *world) error { do(w); return nil }
}

// steps returns all that may happen in a state.
func (w *world) steps() (all []step) {
	for i := range w.members {
		all = w.troubles(i, w.stays(i, w.ordinary(i, all)))
	}
	for c := range w.mirrors {
		if len(w.events[c]) > 0 {
			all = append(all, step{3 + c, "event", always(func(w *world) { w.deliver(c) })})
		}
		if w.faults > 0 && w.mirrors[c].synced {
			all = append(all, step{3 + c, "stale", always(func(w *world) {
				w.faults--
				w.events[c] = nil
				w.mirrors[c].Stale()
			})})
		}
	}
	return all
}

// ordinary returns the steps of a member in which nothing fails, or a failure is made good.
func (w *world) ordinary(i int, all []step) []step {
	a := &w.members[i]
	add := func(name string, do func(w *world) error) { all = append(all, step{i, name, do}) }
	move := func(name string, to phase) {
		add(name, always(func(w *world) { w.members[i].phase = to }))
	}
	leave := always(func(w *world) {
		if w.has(i) || w.members[i].phase == cutOff {
			w.delete(i)
		}
		w.end(i)
	})
	if a.copies && a.phase != gone {
		add("a late copy is applied", func(w *world) error {
			w.members[i].copies = false
			return w.apply(i)
		})
	}
	switch a.txn {
	case sent:
		add("Txn applied", func(w *world) error {
			w.members[i].txn = applied
			return w.apply(i)
		})
		if a.phase == holding {
			add("Txn cut off", always(func(w *world) {
				w.members[i].txn, w.members[i].copies = answered, true
			}))
		}
	case applied:
		add("Txn answered", always(func(w *world) { w.members[i].txn = answered }))
	case noTxn, answered:
	}
	switch a.phase {
	case idle:
		add("join", always(func(w *world) {
			w.put(i)
			w.members[i].phase = joined
		}))
		if i == 1 && w.members[0].ended && w.members[0].phase == releasing {
			add("join with a deferred deletion", always(func(w *world) {
				w.replace(0, i)
				w.members[i].phase = joined
				w.end(0)
			}))
		}
	case cutOff:
		if w.at(i) < 0 {
			add("late join", always(func(w *world) { w.put(i) }))
		}
		add("resolve", leave)
	case joined:
		add("answer", func(w *world) error { return w.answerJoin(i) })
	case waiting:
		switch v := w.waiter(i); {
		case w.alien(i) && (w.at(i) == 0 || !w.has(i)):
			add("look", func(w *world) error {
				if !w.has(i) {
					w.end(i)
					return nil
				}
				return w.grant(i)
			})
		case w.alien(i):
		case a.sync:
			add("Sync", always(func(w *world) { w.sync(i) }))
		case len(v.wake) > 0:
			add("wake", func(w *world) error { return w.wake(i) })
		}
	case holding:
		add("release", always(func(w *world) { w.release(i) }))
	case releasing, leaving:
		add("delete", leave)
	case refused:
		move("release again", releasing)
	case unused: // see stays
	case lost:
		add("expire", always(func(w *world) {
			if w.has(i) {
				w.delete(i)
			}
			w.members[i] = actor{phase: gone}
		}))
	case gone:
	}
	return all
}

// troubles returns the steps that fail, of which a run has a few.
func (w *world) troubles(i int, all []step) []step {
	if w.faults == 0 {
		return all
	}
	a := &w.members[i]
	add := func(name string, do func(w *world, a *actor)) {
		all = append(all, step{i, name, always(func(w *world) {
			w.faults--
			do(w, &w.members[i])
		})})
	}
	if w.has(i) && !a.broken && a.phase != idle && a.phase != gone {
		add("Break", func(w *world, a *actor) {
			a.broken = true
			w.delete(i)
		})
	}
	if a.phase != idle && a.phase != gone && a.phase != lost {
		add("the session is lost", func(w *world, a *actor) {
			w.stopWaiting(i)
			w.endStay(i)
			a.phase, a.copies = lost, a.copies || a.txn == sent
			a.txn = noTxn
		})
	}
	switch a.phase {
	case idle:
		add("join cut off", func(_ *world, a *actor) { a.phase = cutOff })
	case joined:
		add("join not answered", func(_ *world, a *actor) { a.phase = leaving })
	case waiting:
		add("the caller leaves", func(w *world, a *actor) {
			w.stopWaiting(i)
			a.phase = leaving
		})
	case holding:
		if a.txn == noTxn {
			add("Txn", func(_ *world, a *actor) { a.txn = sent })
		}
		if !a.copies {
			add("Guard", func(_ *world, a *actor) { a.copies = true })
		}
	case releasing:
		add("release refused", func(_ *world, a *actor) { a.phase = refused })
	case unused, cutOff, refused, leaving, lost, gone:
	}
	return all
}

// id returns the same for states from which the same can happen. Only the order of revisions
// counts.
func (w *world) id() string {
	all, revs := make([]byte, 0, 256), make([]int64, 0, 64)
	walk := func(f func(rev int64)) {
		f(w.granted)
		for i := range w.members {
			f(w.members[i].fence)
		}
		for _, o := range w.line {
			f(o.Fence)
		}
		for c, m := range w.mirrors {
			f(m.snapshot.Revision)
			for _, o := range m.snapshot.Members {
				f(o.Fence)
			}
			for i := range w.members {
				f(m.released[keyOf(i)])
			}
			for _, ev := range w.events[c] {
				f(ev.KV.ModRevision)
			}
		}
	}
	walk(func(rev int64) { revs = append(revs, rev) })
	slices.Sort(revs)
	revs = slices.Compact(revs)
	walk(func(rev int64) {
		i, _ := slices.BinarySearch(revs, rev)
		all = append(all, byte(i))
	})
	flags := func(set ...bool) {
		for _, b := range set {
			all = append(all, '-')
			if b {
				all[len(all)-1] = '+'
			}
		}
	}
	keys := func(of []Member) {
		for _, o := range of {
			all = append(all, o.Key...)
		}
	}
	keys(w.line)
	for c, m := range w.mirrors {
		flags(m.synced)
		keys(m.snapshot.Members)
		for _, ev := range w.events[c] {
			flags(ev.Deleted)
			all = append(all, ev.KV.Key...)
		}
	}
	for i := range w.members {
		a := &w.members[i]
		all = append(all, byte(a.phase), byte(a.txn), byte(a.rounds), byte(w.faults))
		flags(a.first, a.sync, a.broken, a.copies, a.ended)
		if s := a.stay; s != nil {
			all = append(all, 's', byte(a.passes))
			flags(a.watched, a.syncing, a.reviewing, a.leaked, s.over, s.deleted, s.alone, s.others,
				len(s.wake) > 0, s.until.After(modelTime))
		}
		if v := w.waiter(i); v != nil {
			flags(v.admitted, v.gone, len(v.wake) > 0)
		}
	}
	return string(all)
}

// search is a run of all interleavings from a state.
type search struct {
	seen  map[string]bool
	early int // states just after a grant before the holder before had left
	stays int // states in which a cached key is unused
	path  []step
}

// from returns the first rule that is broken on a way on from a state.
func (s *search) from(w *world) error {
	id := w.id()
	if s.seen[id] {
		return nil
	}
	s.seen[id] = true
	if w.early {
		s.early++
		w.early = false
	}
	if w.members[0].phase == unused {
		s.stays++
	}
	steps := w.steps()
	for _, st := range steps {
		next := w.clone()
		s.path = append(s.path, st)
		err := st.do(next)
		if err == nil {
			err = s.from(next)
		}
		if err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
	}
	for i := range w.members {
		if len(steps) == 0 && w.members[i].phase != gone {
			return fmt.Errorf("%d waits for ever", i)
		}
	}
	return nil
}

// way shows how a search came to its end.
func (s *search) way() string {
	var b strings.Builder
	for _, st := range s.path {
		fmt.Fprintln(&b, st)
	}
	return b.String()
}

// TestModel runs the model to its ends: no two hold the line, nothing is written under a hold once
// a later one was granted, and no waiter is forgotten. HOLDFAST_LINE=long adds the larger runs with
// a cached key, which take minutes.
func TestModel(t *testing.T) {
	t.Parallel()
	type size struct {
		cached   bool
		deferred bool
		faults   int
		rounds   [3]int
	}
	sizes := []size{
		{false, false, 0, [3]int{2, 1, 1}},
		{false, false, 1, [3]int{1, 1, 1}},
		{false, true, 0, [3]int{2, 2, 1}},
		{false, true, 1, [3]int{1, 1, 1}},
		{true, false, 0, [3]int{1, 1, 1}},
		{true, false, 1, [3]int{1, 1, 0}},
		{true, false, 1, [3]int{1, 0, 1}},
	}
	if os.Getenv("HOLDFAST_LINE") == "long" {
		sizes = append(sizes,
			size{true, false, 0, [3]int{2, 1, 1}}, size{true, false, 1, [3]int{1, 1, 1}})
	}
	for _, size := range sizes {
		for _, foreign := range []bool{false, true} {
			s := search{seen: map[string]bool{}}
			w := newWorld(foreign, noFault, size.faults, size.rounds)
			w.cached, w.deferred = size.cached, size.deferred
			err := s.from(w)
			if err != nil || s.early == 0 && size.rounds[1] > 0 || size.cached && s.stays == 0 {
				t.Errorf("%d early grants, %d unused, %v:\n%s", s.early, s.stays, err, s.way())
			}
			t.Logf("%+v: %d states, %d early grants, %d unused", size, len(s.seen), s.early, s.stays)
		}
	}
}

// TestModelFindsFaults plants faults, of which the model must find each.
func TestModelFindsFaults(t *testing.T) {
	t.Parallel()
	for plant, want := range map[fault]string{
		exposedQuiet: "a write under", signalLost: "waits for ever",
		neverForgotten: "waits for ever", heldToo: "hold the line",
		exposedPassed: "passed on", deletedPassed: "is passed on", othersUnseen: "waits for ever",
		exposedDeferred: "after its release",
	} {
		s := search{seen: map[string]bool{}}
		rounds := [3]int{2, 1, 1}
		if plant >= exposedPassed && plant < exposedDeferred {
			rounds = [3]int{1, 0, 1}
		}
		w := newWorld(false, plant, 1, rounds)
		w.cached, w.deferred = plant >= exposedPassed && plant < exposedDeferred, plant == exposedDeferred
		err := s.from(w)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("fault %d: %v in %d states", plant, err, len(s.seen))
		}
	}
}
