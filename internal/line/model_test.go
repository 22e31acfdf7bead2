package line

import (
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// The model is one line at etcd, two clients and three members, the first two of which belong to
// the first client. Each has a session of its own. The mirrors are the real ones; sessions,
// requests and etcd are modelled. TestModel runs all interleavings of the steps.

// world is a state of the model.
type world struct {
	rev     int64
	line    []Member // at etcd
	members [3]actor
	mirrors [2]*mirror
	events  [2][]gateway.Event // that a mirror has not applied yet
	faults  int                // that may still happen
	granted int64              // the greatest fence of a hold
	early   bool               // a member was granted the line while another key was ahead of it
	foreign bool               // the last member belongs to another library
	plant   fault
	cached  bool // the first member has a cached key, see modelstay_test.go
	// deferred: the release of the first member may return before its key is deleted, and the
	// second is the next Lock of its session, which may delete the key in the same transaction.
	deferred bool
}

// fault is a mistake that the search must find.
type fault int

const (
	noFault         fault = iota
	exposedQuiet          // a hold is quiet although a transaction may be under way
	signalLost            // the note of a release wakes no waiter
	neverForgotten        // a key whose member was released once is taken for released for ever
	heldToo               // a hold is taken for released when it is granted
	exposedPassed         // a key is passed although a transaction may be under way
	deletedPassed         // a key is passed although it was seen to be deleted
	othersUnseen          // the note that others wait wakes no stay
	exposedDeferred       // a release is deferred although a transaction may be under way
)

type phase int

const (
	idle   phase = iota // not in the line
	cutOff              // the caller of a join has left; the put may still be applied
	joined              // the put was applied and not answered
	waiting
	holding
	unused    // no caller uses a cached key
	releasing // the deletion was submitted
	refused   // the deletion was rejected
	leaving   // the member gave up, and its key is deleted in the background
	lost      // the session has ended here, not yet at etcd
	gone      // for good
)

// actor is a member, through all rounds in which it joins the line.
type actor struct {
	phase
	fence  int64
	first  bool // the join was answered with a line of one
	sync   bool // the waiter is about to call Sync
	broken bool // another client has deleted the key
	ended  bool // the release has returned before the deletion
	txn    txnState
	copies bool // a transaction under the guard may still be applied, and nobody waits for it
	rounds int  // left
	stay   *stay
	stayState
}

type txnState int

const (
	noTxn txnState = iota
	sent
	applied
	answered
)

func newWorld(foreign bool, plant fault, faults int, rounds [3]int) *world {
	w := &world{foreign: foreign, plant: plant, faults: faults}
	for i := range w.members {
		w.members[i].rounds = rounds[i]
		if rounds[i] == 0 {
			w.members[i].phase = gone
		}
	}
	for i := range w.mirrors {
		w.mirrors[i] = newMirror(nil, "a/", Exclusive)
	}
	return w
}

func keyOf(i int) string { return "a/0a/1a/2"[3*i : 3*i+3] }

func (w *world) clientOf(i int) int { return i / 2 }

func (w *world) alien(i int) bool { return w.foreign && w.clientOf(i) == 1 }

func (w *world) waiter(i int) *waiter { return w.mirrors[w.clientOf(i)].waiters[keyOf(i)] }

func (w *world) clone() *world {
	c := *w
	c.line = slices.Clone(w.line)
	for i, m := range w.mirrors {
		n := &mirror{
			prefix: m.prefix, rule: m.rule, synced: m.synced, snapshot: m.snapshot,
			released: maps.Clone(m.released), waiters: map[string]*waiter{},
			stays: map[*stay]struct{}{},
		}
		n.snapshot.Members = slices.Clone(m.snapshot.Members)
		for key, old := range m.waiters {
			same := *old
			same.wake = make(chan struct{}, 1)
			if len(old.wake) > 0 {
				signal(same.wake)
			}
			n.waiters[key] = &same
		}
		c.mirrors[i], c.events[i] = n, slices.Clone(w.events[i])
	}
	for i := range c.members {
		c.cloneStay(i, w.mirrors[c.clientOf(i)])
	}
	return &c
}

// etcd

func (w *world) at(i int) int {
	return slices.IndexFunc(w.line, func(o Member) bool { return o.Key == keyOf(i) })
}

func (w *world) has(i int) bool {
	at := w.at(i)
	return at >= 0 && w.line[at].Fence == w.members[i].fence
}

func (w *world) put(i int) {
	w.rev++
	w.line = append(w.line, Member{Key: keyOf(i), Fence: w.rev})
	w.members[i].fence, w.members[i].first = w.rev, len(w.line) == 1
	w.tell(put(keyOf(i), w.rev, w.rev))
}

func (w *world) delete(i int) {
	if at := w.at(i); at >= 0 {
		w.rev++
		w.line = slices.Delete(w.line, at, at+1)
		w.tell(del(keyOf(i), w.rev))
	}
}

// replace puts the key of a member in the transaction that deletes the key of another.
func (w *world) replace(old, i int) {
	if w.has(old) {
		w.delete(old)
		w.rev--
	}
	w.put(i)
}

func (w *world) tell(ev gateway.Event) {
	for c, m := range w.mirrors {
		if m.synced {
			w.events[c] = append(w.events[c], ev)
		}
	}
}

// apply applies a transaction under the guard of a member, if its key exists. A member that was
// granted the line later must not have another's write after that.
func (w *world) apply(i int) error {
	if f := w.members[i].fence; w.has(i) && w.granted > f {
		return fmt.Errorf("a write under fence %d after the grant of %d", f, w.granted)
	}
	if w.has(i) && w.members[i].ended {
		return fmt.Errorf("a write under %d after its release", i)
	}
	if w.members[i].leaked {
		return fmt.Errorf("a write under a hold %d that was passed on", i)
	}
	return nil
}

// The members.

func (w *world) grant(i int) error {
	a := &w.members[i]
	a.phase = holding
	w.granted = max(w.granted, a.fence)
	w.early = w.at(i) > 0
	if w.plant == heldToo {
		w.note(i)
	}
	if w.caches(i) && a.stay == nil {
		w.startStay(i)
	}
	for j := range w.members {
		if b := &w.members[j]; j != i && b.phase == holding && !b.broken && !a.broken {
			return fmt.Errorf("%d and %d hold the line", i, j)
		}
	}
	return nil
}

// answerJoin is the rest of Enter after the join.
func (w *world) answerJoin(i int) error {
	a := &w.members[i]
	if a.first {
		return w.grant(i)
	}
	a.phase, a.sync = waiting, true
	if !w.alien(i) {
		w.mirrors[w.clientOf(i)].addWaiter(Member{Key: keyOf(i), Fence: a.fence}, Join{}, true)
	}
	return nil
}

// sync is the Sync of a waiter.
func (w *world) sync(i int) {
	w.members[i].sync = false
	w.fill(w.mirrors[w.clientOf(i)])
}

func (w *world) fill(m *mirror) {
	if !m.synced {
		script{m}.read(w.rev, w.line...)
		w.events[slices.Index(w.mirrors[:], m)] = nil
	}
}

// wake is a waiter that has received a signal.
func (w *world) wake(i int) error {
	a, v := &w.members[i], w.waiter(i)
	<-v.wake
	switch {
	case v.gone:
		w.stopWaiting(i)
		w.end(i)
	case v.admitted:
		w.stopWaiting(i)
		return w.grant(i)
	default:
		a.sync = true
	}
	return nil
}

func (w *world) stopWaiting(i int) {
	if v := w.waiter(i); v != nil {
		w.mirrors[w.clientOf(i)].removeWaiter(v)
	}
}

// end is the end of a round, after which the member may join again.
func (w *world) end(i int) {
	a := &w.members[i]
	w.endStay(i)
	*a = actor{rounds: a.rounds - 1}
	if a.rounds == 0 {
		a.phase = gone
	}
}

func (w *world) release(i int) {
	a := &w.members[i]
	a.phase = releasing
	if a.stay != nil {
		a.stay.end()
	}
	quiet := !a.copies && a.txn != sent && a.txn != applied || w.plant == exposedQuiet
	if quiet && !w.alien(i) {
		w.note(i)
	}
	a.ended = w.deferred && i == 0 && (quiet || w.plant == exposedDeferred)
}

func (w *world) note(i int) {
	m := w.mirrors[w.clientOf(i)]
	m.noteReleased(Member{Key: keyOf(i), Fence: w.members[i].fence})
	if w.plant == signalLost {
		for _, v := range m.waiters {
			select {
			case <-v.wake:
			default:
			}
		}
	}
}

func (w *world) deliver(c int) {
	m, all := w.mirrors[c], w.events[c]
	before := maps.Clone(m.released)
	n := 1
	for n < len(all) && all[n].KV.ModRevision == all[0].KV.ModRevision {
		n++
	}
	w.events[c] = all[n:]
	m.Apply(slices.Clone(all[:n]))
	for s := range m.stays {
		if w.plant == othersUnseen && len(s.wake) > 0 {
			<-s.wake
		}
	}
	if w.plant != neverForgotten {
		return
	}
	maps.Copy(m.released, before)
	for _, o := range m.snapshot.Members {
		if m.released[o.Key] != 0 {
			m.released[o.Key] = o.Fence
		}
	}
	m.decide()
}
