package line

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// mirror is a copy of a line, right at a revision: fed by a watch that was opened "from now", one read, and then every
// event above that read's revision. All waiters of a client share it. It starts no goroutine: events are applied by the
// reader of the client's stream, and what must wait waits in the goroutines of the waiters.
type mirror struct {
	id   mirrorID
	rule Rule
	turn chan struct{} // held by the waiter that brings the mirror up to date

	mu      sync.Mutex
	users   int
	idle    *time.Timer // set while there are no users
	watch   *lineWatch  // nil: none, or it has ended
	err     error       // why there will never be another
	synced  bool
	floor   int64    // the revision of the read
	view    Snapshot // the line at view.Revision; only if synced
	last    *lastLeft
	waiters map[string]*waiter // by key
	readers map[*reader]struct{}
}

// lineWatch is one watch of the line. Late calls from one that was given up are known by it.
type lineWatch struct {
	stop    func()
	created chan struct{} // closed when it stands, or has ended
	early   []gateway.Event
}

// lastLeft is the member that left the line last, and when that was seen.
type lastLeft struct {
	Member
	at time.Time
}

// nobodySeen is for a member that has waited, and whose mirror was read again after the last one left.
var nobodySeen = &lastLeft{}

// waiter is a member that waits in this process.
type waiter struct {
	Member
	wake chan struct{} // look again
	hope func(Snapshot) error
	waiterState
}

// waiterState is what has become of a waiter.
type waiterState struct {
	admitted bool
	gone     bool
	hopeless error
	before   *lastLeft
}

// reader is somebody who wants to see each state of the line, or at least the last.
type reader struct{ wake chan struct{} }

type mirrorID struct {
	c            *gateway.Client
	kind, prefix string
}

// mirrors holds the mirrors in use, and those that were a short while ago: the next waiter then needs no read. It is
// global because several sessions may share a client, and must then share its mirrors.
var mirrors = struct {
	sync.Mutex
	m map[mirrorID]*mirror
}{m: map[mirrorID]*mirror{}}

// idleMirror is how long a mirror is kept without a waiter.
const idleMirror = 30 * time.Second

func (l *Line) mirrorID() mirrorID { return mirrorID{l.Session.Client(), l.Kind, l.prefix()} }

func (l *Line) mirror() *mirror {
	id := l.mirrorID()
	mirrors.Lock()
	defer mirrors.Unlock()
	m := mirrors.m[id]
	if m == nil {
		m = &mirror{id: id, rule: l.Rule, turn: make(chan struct{}, 1), waiters: map[string]*waiter{}, readers: map[*reader]struct{}{}}
		mirrors.m[id] = m
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users++
	if m.idle != nil {
		m.idle.Stop()
		m.idle = nil
	}
	return m
}

func (m *mirror) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.users--; m.users == 0 {
		keep := idleMirror
		if len(m.view.Members) > crowd { // the next waiter will do without
			keep = 0
		}
		m.idle = time.AfterFunc(keep, m.closeIdle)
	}
}

func (m *mirror) closeIdle() {
	mirrors.Lock()
	defer mirrors.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.users > 0 {
		return
	}
	m.forget()
	if m.watch != nil {
		m.watch.stop()
		m.watch = nil
	}
}

// forget takes the mirror out of the registry. mirrors must be locked.
func (m *mirror) forget() {
	if mirrors.m[m.id] == m {
		delete(mirrors.m, m.id)
	}
}

// sync returns when the mirror is right at some revision, for which one waiter at a time works.
func (m *mirror) sync(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
	for {
		f, done, err := m.open()
		if done {
			return err
		}
		select {
		case <-f.created:
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
		resp, err := m.id.c.Get(ctx, m.id.prefix, gateway.Prefix())
		if err != nil {
			return err
		}
		m.base(f, resp)
	}
}

// open starts the watch if there is none. done says that there is nothing to wait for.
func (m *mirror) open() (_ *lineWatch, done bool, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || m.synced {
		return nil, true, m.err
	}
	if m.watch == nil {
		f := &lineWatch{created: make(chan struct{})}
		stop, err := m.id.c.WatchFunc(m.id.prefix, func(r gateway.WatchResponse) { m.take(f, r) }, gateway.Prefix())
		if err != nil {
			return nil, true, err
		}
		f.stop = stop
		m.watch = f
	}
	return m.watch, false, nil
}

// base sets the mirror to what was read after the watch stood, and applies what has come since.
func (m *mirror) base(f *lineWatch, read *gateway.GetResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watch != f {
		return
	}
	m.synced, m.floor, m.view = true, read.Revision, viewOf(read, m.id.prefix)
	m.last = nil // whoever left meanwhile, this process has not seen it leave
	for _, ev := range f.early {
		m.apply(ev)
	}
	f.early = nil
	for _, w := range m.waiters {
		m.review(w)
	}
	m.decide()
}

// take runs in the goroutine that reads the client's stream.
func (m *mirror) take(f *lineWatch, r gateway.WatchResponse) {
	if r.Err != nil {
		m.broken(f, r.Err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.watch != f:
	case r.Created:
		close(f.created)
	case !m.synced:
		f.early = append(f.early, r.Events...)
	default:
		changed := false
		for i, ev := range r.Events {
			changed = m.apply(ev) || changed
			last := i+1 == len(r.Events) || r.Events[i+1].KV.ModRevision != ev.KV.ModRevision
			if changed && last { // after each revision: one answer may hold a deletion and the same key again
				m.decide()
				changed = false
			}
		}
	}
}

// broken: after a compaction the next waiter starts over; after anything else nobody can.
func (m *mirror) broken(f *lineWatch, err error) {
	mirrors.Lock()
	defer mirrors.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watch != f {
		return
	}
	select {
	case <-f.created:
	default:
		close(f.created)
	}
	m.watch, m.synced = nil, false
	if !errors.Is(err, gateway.ErrCompacted) {
		m.err = err
		m.forget()
		if m.idle != nil {
			m.idle.Stop()
		}
	}
	for _, w := range m.waiters {
		signal(w.wake)
	}
	for r := range m.readers {
		signal(r.wake)
	}
}

// apply takes one event and tells whether it changed the line.
func (m *mirror) apply(ev gateway.Event) bool {
	if ev.KV.ModRevision <= m.floor {
		return false // the read has it
	}
	v := &m.view
	v.Revision = max(v.Revision, ev.KV.ModRevision)
	if what, ok := settingOf(ev.KV.Key, m.id.prefix); ok {
		v.Settings[what], v.Puts[what] = string(ev.KV.Value), Put{ev.KV.ModRevision, ev.KV.Version}
		if ev.Deleted {
			delete(v.Settings, what)
			delete(v.Puts, what)
		}
		return true
	}
	if !isMember(ev.KV.Key, m.id.prefix) {
		return false
	}
	i := slices.IndexFunc(v.Members, func(o Member) bool { return o.Key == ev.KV.Key })
	if i >= 0 && !ev.Deleted && v.Members[i].Fence == ev.KV.CreateRevision {
		changed := v.Members[i].Value != string(ev.KV.Value) // if not, it is a join that was repeated
		v.Members[i].Value = string(ev.KV.Value)
		return changed
	}
	if i >= 0 {
		m.last = &lastLeft{v.Members[i], time.Now()}
		v.Members = slices.Delete(v.Members, i, i+1)
		if w := m.waiters[m.last.Key]; w != nil && w.is(m.last.Member) {
			w.gone = true
			signal(w.wake)
		}
	}
	if !ev.Deleted { // revisions only grow: it is the last
		v.Members = append(v.Members, Member{ev.KV.Key, ev.KV.CreateRevision, string(ev.KV.Value)})
	}
	return i >= 0 || !ev.Deleted
}

// decide wakes the waiters that the rule admits, those without hope, and all readers.
func (m *mirror) decide() {
	for _, member := range m.view.Members[:m.rule(m.view)] {
		if w := m.waiters[member.Key]; w != nil && w.is(member) && !w.admitted {
			w.admitted, w.before = true, m.last
			signal(w.wake)
		}
	}
	for _, w := range m.waiters {
		if w.hope == nil {
			break // as for all waiters of one recipe
		}
		if w.admitted || w.hopeless != nil || m.view.Revision < w.Fence { // older than the join, it tells nothing
			continue
		}
		if err := w.hope(m.view); err != nil {
			w.hopeless = err
			signal(w.wake)
		}
	}
	for r := range m.readers {
		signal(r.wake)
	}
}

// review finds out whether a waiter's member is still there, once the mirror is late enough to know.
func (m *mirror) review(w *waiter) {
	if m.view.Revision >= w.Fence && !slices.ContainsFunc(m.view.Members, w.is) {
		w.gone = true
		signal(w.wake)
	}
}

// addWaiter adds a waiter for a member that has joined.
func (m *mirror) addWaiter(me Member, hope func(Snapshot) error) *waiter {
	w := &waiter{Member: me, wake: make(chan struct{}, 1), hope: hope}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiters[me.Key] = w
	if m.synced {
		m.review(w)
		m.decide()
	}
	return w
}

func (m *mirror) removeWaiter(w *waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiters[w.Key] == w {
		delete(m.waiters, w.Key)
	}
}

func (m *mirror) look(w *waiter) waiterState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return w.waiterState
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
