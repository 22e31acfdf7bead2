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

// mirror is a copy of a line that is exact at its revision. It is filled by a watch opened "from
// now", one read, and then all events above the read's revision. All waiters of a client share it.
// It starts no goroutine: the reader of the client's stream applies the events, and the waiters'
// goroutines do the work that blocks.
type mirror struct {
	id   mirrorID
	rule Rule
	turn chan struct{} // held by the waiter that syncs the mirror

	mu      sync.Mutex
	users   int
	idle    *time.Timer // set while there are no users
	watch   *lineWatch  // nil if there is none or it has ended
	err     error       // if set, no further watch can be opened
	synced  bool
	floor   int64    // the revision of the read
	view    Snapshot // the line at view.Revision; only if synced
	last    *lastLeft
	waiters map[string]*waiter // by key
	readers map[*reader]struct{}
}

// lineWatch is one watch of the line. Its address identifies late calls from a watch that was
// replaced.
type lineWatch struct {
	stop    func()
	created chan struct{}   // closed when the watch is created or has ended
	early   []gateway.Event // received before the read
}

// lastLeft is the member that left the line last, and the time at which this process saw that.
type lastLeft struct {
	Member
	at time.Time
}

// nobodySeen is for a member that has waited, and whose mirror was read again after the last one
// left.
var nobodySeen = &lastLeft{}

// waiter is a member that waits in this process.
type waiter struct {
	Member
	wake chan struct{} // receives when waiterState may have changed
	hope func(Snapshot) error
	waiterState
}

// waiterState is the outcome of a wait.
type waiterState struct {
	admitted bool
	gone     bool
	hopeless error
	before   *lastLeft // the last member that left before the admission
}

// reader is notified after each change of the line.
type reader struct{ wake chan struct{} }

type mirrorID struct {
	c            *gateway.Client
	kind, prefix string
}

// mirrors holds the mirrors in use, and idle mirrors for idleMirror, so that the next waiter needs
// no read. It is global because sessions that share a client must share its mirrors.
var mirrors = struct {
	sync.Mutex
	m map[mirrorID]*mirror
}{m: map[mirrorID]*mirror{}}

// idleMirror is the time for which a mirror without users is kept.
const idleMirror = 30 * time.Second

func (l *Line) mirrorID() mirrorID { return mirrorID{l.Session.Client(), l.Kind, l.prefix()} }

func (l *Line) mirror() *mirror {
	id := l.mirrorID()
	mirrors.Lock()
	defer mirrors.Unlock()
	m := mirrors.m[id]
	if m == nil {
		m = &mirror{
			id: id, rule: l.Rule, turn: make(chan struct{}, 1),
			waiters: map[string]*waiter{}, readers: map[*reader]struct{}{},
		}
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
		if len(m.view.Members) > crowd { // the next waiter will not use a mirror
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

// forget removes the mirror from mirrors, which must be locked.
func (m *mirror) forget() {
	if mirrors.m[m.id] == m {
		delete(mirrors.m, m.id)
	}
}

// sync returns nil when the mirror is in sync. One waiter at a time does the work.
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

// open starts the watch if there is none. done means that sync has to return the error, or nil.
func (m *mirror) open() (_ *lineWatch, done bool, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || m.synced {
		return nil, true, m.err
	}
	if m.watch == nil {
		f := &lineWatch{created: make(chan struct{})}
		stop, err := m.id.c.WatchFunc(m.id.prefix,
			func(r gateway.WatchResponse) { m.take(f, r) }, gateway.Prefix())
		if err != nil {
			return nil, true, err
		}
		f.stop = stop
		m.watch = f
	}
	return m.watch, false, nil
}

// base sets the mirror to a read made after the watch was created, and applies the events received
// since.
func (m *mirror) base(f *lineWatch, read *gateway.GetResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watch != f {
		return
	}
	m.synced, m.floor, m.view = true, read.Revision, viewOf(read, m.id.prefix)
	m.last = nil // this process did not see which members left before the read
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
			if changed && last {
				// After each revision, because one response may delete a key and create it again.
				m.decide()
				changed = false
			}
		}
	}
}

// broken handles the end of the watch. After a compaction the next waiter opens another watch.
// After any other error the mirror cannot be used again.
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

// apply applies one event and reports whether it changed the line.
func (m *mirror) apply(ev gateway.Event) bool {
	if ev.KV.ModRevision <= m.floor {
		return false // included in the read
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
		changed := v.Members[i].Value != string(ev.KV.Value) // a repeated join does not change it
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
	if !ev.Deleted { // last in the line, because revisions only grow
		v.Members = append(v.Members, Member{ev.KV.Key, ev.KV.CreateRevision, string(ev.KV.Value)})
	}
	return i >= 0 || !ev.Deleted
}

// decide notifies the waiters that the rule admits, the waiters whose hope fails, and all readers.
func (m *mirror) decide() {
	for _, member := range m.view.Members[:m.rule(m.view)] {
		if w := m.waiters[member.Key]; w != nil && w.is(member) && !w.admitted {
			w.admitted, w.before = true, m.last
			signal(w.wake)
		}
	}
	for _, w := range m.waiters {
		if w.hope == nil {
			break // all waiters of one recipe have it or none
		}
		if w.admitted || w.hopeless != nil || m.view.Revision < w.Fence {
			continue // a state before the join must not end the wait
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

// review notifies a waiter if its member is no longer in the line. A view older than the join
// cannot show that.
func (m *mirror) review(w *waiter) {
	if m.view.Revision >= w.Fence && !slices.ContainsFunc(m.view.Members, w.is) {
		w.gone = true
		signal(w.wake)
	}
}

// addWaiter registers a waiter for a member that has joined.
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
