package line

import (
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// mirror is a copy of a line that is exact at its revision. It is the reducer of a cache that all
// waiters and readers of a client share.
type mirror struct {
	*listwatch.Cache
	prefix string
	rule   Rule

	mu       sync.Mutex
	synced   bool                       // the cache has passed a read, and the events since
	snapshot Snapshot                   // the line at snapshot.Revision; only if synced
	last     *lastLeft                  // nil if no member has left since the read
	keys     int                        // below the prefix, with those that are no members
	farUpTo  int64                      // members behind this fence joined near, see far.go
	released map[string]int64           // the fences of members, by key, see early.go
	waiters  map[string]*waiter         // by key
	readers  map[chan struct{}]struct{} // each receives after a change
	stays    map[*stay]struct{}         // see stay.go
}

// lastLeft is the member that left the line last, and the time at which this process saw that.
type lastLeft struct {
	Member
	at time.Time
}

// mirrors is global because sessions that share a client must share its mirrors.
var mirrors listwatch.Pool[*mirror]

func (l *Line) mirrorID() listwatch.ID { return l.reader().mirrorID() }

func (l *Line) acquireMirror() *mirror { return l.reader().acquireMirror() }

func (r *Reader) mirrorID() listwatch.ID {
	return listwatch.ID{Client: r.Client, Kind: r.Kind, Key: r.prefix()}
}

func (r *Reader) acquireMirror() *mirror {
	id := r.mirrorID()
	return mirrors.Acquire(id, func() *mirror { return newMirror(id.Client, id.Key, r.Rule) })
}

func newMirror(c *gateway.Client, prefix string, rule Rule) *mirror {
	m := &mirror{
		prefix: prefix, rule: rule,
		released: map[string]int64{}, waiters: map[string]*waiter{},
		readers: map[chan struct{}]struct{}{}, stays: map[*stay]struct{}{},
	}
	m.Cache = listwatch.New(c, m, []string{prefix}, gateway.Prefix())
	return m
}

func (m *mirror) release() {
	keep := idleMirror
	m.mu.Lock()
	if len(m.snapshot.Members) > directWatchThreshold { // the next waiter will not use a mirror
		keep = 0
	}
	m.mu.Unlock()
	mirrors.Release(m, keep)
}

// List sets the mirror to a read of the line.
func (m *mirror) List(read *gateway.GetResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.synced, m.snapshot, m.keys = true, snapshotOf(read, m.prefix), len(read.KVs)
	m.last = nil // this process did not see which members left before the read
	for _, o := range m.snapshot.Members {
		m.farUpTo = o.Fence // the line may have been longer when it joined
	}
	m.forgetReleased()
	for _, w := range m.waiters {
		m.review(w)
	}
	m.decide()
}

// Apply applies the events of one revision. It decides after each, because two revisions may delete
// a key and create it again.
func (m *mirror) Apply(events []gateway.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := false
	for _, ev := range events {
		changed = m.apply(ev) || changed
	}
	if changed {
		m.decide()
	}
}

// Stale wakes all waiters and readers. One of them completes the mirror again.
func (m *mirror) Stale() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.synced = false
	for _, w := range m.waiters {
		signal(w.wake)
	}
	for s := range m.stays {
		s.see(Snapshot{}, false)
	}
	m.wakeReaders()
}

// apply applies one event and reports whether it changed the line.
func (m *mirror) apply(ev gateway.Event) bool {
	s := &m.snapshot
	s.Revision = max(s.Revision, ev.KV.ModRevision)
	switch {
	case ev.Deleted:
		m.keys--
	case ev.KV.CreateRevision == ev.KV.ModRevision:
		m.keys++
	}
	if s.set(ev, m.prefix) {
		return true
	}
	if !isMember(ev.KV.Key, m.prefix) {
		return false
	}
	i := slices.IndexFunc(s.Members, func(o Member) bool { return o.Key == ev.KV.Key })
	if i >= 0 && !ev.Deleted && s.Members[i].Fence == ev.KV.CreateRevision {
		changed := s.Members[i].Value != string(ev.KV.Value) // a repeated join does not change it
		s.Members[i].Value = string(ev.KV.Value)
		return changed
	}
	if i >= 0 {
		m.last = &lastLeft{s.Members[i], time.Now()}
		s.Members = slices.Delete(s.Members, i, i+1)
		if m.released[m.last.Key] == m.last.Fence {
			delete(m.released, m.last.Key)
		}
		if w := m.waiters[m.last.Key]; w != nil && w.is(m.last.Member) {
			w.gone = true
			signal(w.wake)
		}
	}
	if !ev.Deleted { // last in the line, because revisions only grow
		s.Members = append(s.Members, Member{ev.KV.Key, ev.KV.CreateRevision, string(ev.KV.Value)})
		if m.keys > directWatchThreshold {
			m.farUpTo = ev.KV.CreateRevision
		}
	}
	return i >= 0 || !ev.Deleted
}

// set applies the event of a setting, and reports whether it is one.
func (v *Snapshot) set(ev gateway.Event, prefix string) bool {
	name, ok := settingOf(ev.KV.Key, prefix)
	switch {
	case !ok:
		return false
	case ev.Deleted:
		delete(v.Settings, name)
		delete(v.Puts, name)
	default:
		v.Settings[name], v.Puts[name] = string(ev.KV.Value), Put{ev.KV.ModRevision, ev.KV.Version}
	}
	return true
}

// decide notifies the waiters that the rule admits, the waiters that abort, all stays and all
// readers.
func (m *mirror) decide() {
	v, early := m.unreleased()
	for i, member := range v.Members[:m.rule(v)] {
		w := m.waiters[member.Key]
		// A wait that was aborted has ended, also if its goroutine has not seen that yet.
		waits := w != nil && w.is(member) && !w.admitted && w.aborted == nil
		if waits && (early == 0 || w.early) {
			if w.yield && w.abort(m.snapshot, w.Member) != nil {
				continue // it is aborted below
			}
			w.admitted, w.before, w.heard = true, m.last, m.isHeard(w, v.Members[i:])
			signal(w.wake)
		}
	}
	for _, w := range m.waiters {
		if w.abort == nil {
			break // all waiters of one recipe have it or none
		}
		if w.admitted || w.aborted != nil || m.snapshot.Revision < w.Fence {
			continue // a state before the join must not end the wait
		}
		if err := w.abort(m.snapshot, w.Member); err != nil {
			w.aborted = err
			signal(w.wake)
		}
	}
	for s := range m.stays {
		s.see(m.snapshot, true)
	}
	m.wakeReaders()
}

// review notifies a waiter if its member is no longer in the line.
func (m *mirror) review(w *waiter) {
	if m.hasLeft(w.Member) {
		w.gone = true
		signal(w.wake)
	}
}

// isHeard reports whether the successor of the first of the members, which is a waiter's, may wait
// for its note.
func (m *mirror) isHeard(w *waiter, from []Member) bool {
	return m.isFar(from[1:]) && (w.yield || bothFit(m.rule, m.snapshot.Settings, from[0], from[1]))
}

// isFar reports whether the first of the members may wait far back.
func (m *mirror) isFar(behind []Member) bool {
	return len(behind) > 0 && behind[0].Fence <= m.farUpTo && m.waiters[behind[0].Key] == nil
}
