package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// feed knows the items at the front of a queue and hands them, in their order, to the consumers of one client, each to
// one of them. One watch keeps it up to date; it reads only what it has not seen come.
//
// It knows all items before the horizon: those of a first read, of at most window items, and those that have come since.
// When they have all been handed out it reads on from there.
type feed struct {
	id   feedID
	keys keys
	turn chan struct{} // held by whoever reads

	mu      sync.Mutex
	users   int
	idle    *time.Timer // set while there are no users
	watch   *link       // nil: none, or it has ended
	err     error       // why there will never be another
	synced  bool
	horizon string  // the first place that is not known; "" if all are
	floors  []floor // where what was read comes from
	reading bool    // what comes meanwhile is also kept in early
	early   []gateway.Event
	entries map[string]*entry // by place
	avail   []*entry          // those to hand out, by place
	paused  bool
	due     int64 // when the next delayed item is, in milliseconds since 1970, or 0
	newDue  int64 // the earliest of those that came since the last look at all
	applied int64 // the revision of the last events
	waiters []*waiter
}

// entry is an item. What is known of its claim is right as of the revision seen.
type entry struct {
	place   string
	create  int64
	seen    int64
	claimed bool
	taken   bool  // by a local consumer, who tries to claim it
	stale   int64 // another's claim was found that seen does not reach yet
	listed  bool  // in avail
}

// floor: what lies at place and behind, up to the next floor, was read at revision; older events are old news.
type floor struct {
	place    string
	revision int64
}

// link is one watch. Late calls from one that was given up are known by it.
type link struct {
	stop    func()
	created chan struct{} // closed when it stands, or has ended
}

// waiter is a consumer that waits for an item. nil tells it to look again.
type waiter struct{ given chan *entry }

type feedID struct {
	c    *gateway.Client
	root string
}

// feeds is global because several sessions, and Queues, may share a client, and must then not be handed the same items.
var feeds = struct {
	sync.Mutex
	m map[feedID]*feed
}{m: map[feedID]*feed{}}

const (
	idleFeed = 30 * time.Second // how long a feed is kept without a user
	window   = 256              // how many items are read at once
	maxKnown = 4096             // how many entries, at least, make a feed forget the later ones
)

func (q *Queue) openFeed() *feed {
	id := feedID{q.s.Client(), q.keys.root}
	feeds.Lock()
	defer feeds.Unlock()
	f := feeds.m[id]
	if f == nil {
		f = &feed{id: id, keys: q.keys, turn: make(chan struct{}, 1), entries: map[string]*entry{}}
		feeds.m[id] = f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users++
	if f.idle != nil {
		f.idle.Stop()
		f.idle = nil
	}
	return f
}

func (f *feed) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users == 0 && f.err == nil {
		f.idle = time.AfterFunc(idleFeed, f.closeIdle)
	}
}

func (f *feed) closeIdle() {
	feeds.Lock()
	defer feeds.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users > 0 {
		return
	}
	f.forget()
	if f.watch != nil {
		f.watch.stop()
		f.watch = nil
	}
}

// forget takes the feed out of the registry, which must be locked.
func (f *feed) forget() {
	if feeds.m[f.id] == f {
		delete(feeds.m, f.id)
	}
}

// lock takes the turn to read.
func (f *feed) lock(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

func (f *feed) unlock() { <-f.turn }

// sync returns when the feed is right at some revision; with fresh, at one that is not older than the call.
func (f *feed) sync(ctx context.Context, fresh bool) error {
	if err := f.lock(ctx); err != nil {
		return err
	}
	defer f.unlock()
	for {
		l, synced, err := f.open()
		if err != nil || synced && !fresh {
			return err
		}
		select {
		case <-l.created:
		case <-ctx.Done():
			return ended(ctx)
		}
		if !f.expect(l) {
			continue
		}
		resp, err := f.id.c.Txn(ctx, gateway.Txn{Then: append(f.read(""),
			gateway.OpGet(f.keys.paused, gateway.KeysOnly()),
			gateway.OpGet(f.keys.delayed, gateway.Prefix(), gateway.Limit(1), gateway.KeysOnly()))})
		f.merge(l, "", resp, err)
		if err != nil {
			return err
		}
		fresh = false
	}
}

// extend reads the items behind the horizon.
func (f *feed) extend(ctx context.Context) error {
	defer f.pass()
	if err := f.lock(ctx); err != nil {
		return err
	}
	defer f.unlock()
	f.mu.Lock()
	l, from := f.watch, f.horizon
	needed := f.synced && from != "" && len(f.avail) == 0
	f.mu.Unlock()
	if !needed || !f.expect(l) {
		return nil
	}
	resp, err := f.id.c.Txn(ctx, gateway.Txn{Then: f.read(from)})
	f.merge(l, from, resp, err)
	return err
}

// open starts the watch if there is none.
func (f *feed) open() (_ *link, synced bool, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, false, f.err
	}
	if f.watch == nil {
		l := &link{created: make(chan struct{})}
		stop, err := f.id.c.WatchFunc(f.keys.root, func(r gateway.WatchResponse) { f.take(l, r) }, gateway.Prefix())
		if err != nil {
			return nil, false, err
		}
		l.stop = stop
		f.watch = l
	}
	return f.watch, f.synced, nil
}

// expect keeps the events that come from now on for the merge. It is false if the watch has ended.
func (f *feed) expect(l *link) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.early = f.watch == l, nil
	return f.reading
}

// read is a window of items from a place on, and all claims behind it.
func (f *feed) read(from string) []gateway.Op {
	return []gateway.Op{
		gateway.OpGet(f.keys.items+from, gateway.Range(until(f.keys.items)), gateway.Limit(window), gateway.KeysOnly()),
		gateway.OpGet(f.keys.claims+from, gateway.Range(until(f.keys.claims)), gateway.KeysOnly()),
	}
}

// merge takes what was read after the watch stood, and then what has come since.
func (f *feed) merge(l *link, from string, resp *gateway.TxnResponse, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	early := f.early
	f.reading, f.early = false, nil
	if f.watch != l || err != nil {
		return
	}
	items, claims := resp.Responses[0].Get, resp.Responses[1].Get
	f.horizon = ""
	if n := len(items.KVs); items.More && n > 0 {
		f.horizon = strings.TrimPrefix(items.KVs[n-1].Key, f.keys.items) + "\x00"
	}
	for len(f.floors) > 1 && f.floors[1].revision <= f.applied { // nothing so old can come any more
		f.floors = slices.Delete(f.floors, 0, 1)
		f.floors[0].place = ""
	}
	f.floors = append(slices.DeleteFunc(f.floors, func(o floor) bool { return o.place >= from }), floor{from, resp.Revision})
	claimed := make(map[string]bool, len(claims.KVs))
	for _, kv := range claims.KVs {
		claimed[strings.TrimPrefix(kv.Key, f.keys.claims)] = true
	}
	there := make(map[string]bool, len(items.KVs))
	for _, kv := range items.KVs {
		place := strings.TrimPrefix(kv.Key, f.keys.items)
		there[place] = true
		e := f.entries[place]
		if e == nil {
			e = f.add(place, kv.CreateRevision)
		}
		if e.seen <= resp.Revision {
			e.seen, e.claimed = resp.Revision, claimed[place]
		}
		f.list(e)
	}
	for place, e := range f.entries {
		if place >= from && !there[place] && (e.seen <= resp.Revision || !f.known(place)) {
			f.drop(e)
		}
	}
	if from == "" {
		f.synced = true
		f.paused = len(resp.Responses[2].Get.KVs) > 0
		f.due = 0
		if kvs := resp.Responses[3].Get.KVs; len(kvs) > 0 {
			f.due, _ = f.keys.dueOf(kvs[0].Key)
		}
	}
	for _, ev := range early {
		f.apply(ev)
	}
	f.handOut()
}

// take runs in the goroutine that reads the client's stream.
func (f *feed) take(l *link, r gateway.WatchResponse) {
	if r.Err != nil {
		f.broken(l, r.Err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watch != l {
		return
	}
	if r.Created {
		close(l.created)
		return
	}
	if f.reading {
		f.early = append(f.early, r.Events...)
	}
	if !f.synced {
		return // before the read, which will have it
	}
	for _, ev := range r.Events {
		f.apply(ev)
	}
	f.applied = r.Revision
	f.handOut()
}

// broken: after a compaction the next consumer starts over; after anything else nobody can.
func (f *feed) broken(l *link, err error) {
	feeds.Lock()
	defer feeds.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watch != l {
		return
	}
	select {
	case <-l.created:
	default:
		close(l.created)
	}
	f.watch, f.synced, f.reading, f.early = nil, false, false, nil
	f.entries, f.avail, f.floors, f.horizon = map[string]*entry{}, nil, nil, ""
	if !errors.Is(err, gateway.ErrCompacted) {
		f.err = err
		f.forget()
		if f.idle != nil {
			f.idle.Stop()
		}
	}
	f.rouse()
}

// known tells whether a place is before the horizon.
func (f *feed) known(place string) bool { return f.horizon == "" || place < f.horizon }

func (f *feed) floor(place string) (revision int64) {
	for _, o := range f.floors {
		if o.place > place {
			break
		}
		revision = o.revision
	}
	return revision
}

func (f *feed) apply(ev gateway.Event) {
	kind, place := f.sort(ev.KV.Key)
	rev := ev.KV.ModRevision
	switch kind {
	case f.keys.paused:
		if rev > f.floors[0].revision {
			f.paused = !ev.Deleted
		}
	case f.keys.delayed:
		due, ok := f.keys.dueOf(ev.KV.Key)
		if !ok || ev.Deleted {
			return
		}
		f.newDue = earlier(f.newDue, due)
		if was := f.due; earlier(was, due) != was {
			f.due = due
			f.rouse()
		}
	case f.keys.items:
		e := f.entries[place]
		switch {
		case !f.known(place) || rev <= f.floor(place):
		case ev.Deleted && e != nil:
			f.drop(e)
		case !ev.Deleted && e == nil:
			e = f.add(place, ev.KV.CreateRevision)
			e.seen = rev
			f.list(e)
		}
	case f.keys.claims:
		if e := f.entries[place]; e != nil && rev > e.seen {
			e.seen, e.claimed = rev, !ev.Deleted
			f.list(e)
		}
	}
}

// sort tells what kind of key it is, by where such keys lie, and the place if it has one.
func (f *feed) sort(key string) (kind, place string) {
	switch {
	case key == f.keys.paused:
		return key, ""
	case strings.HasPrefix(key, f.keys.delayed):
		return f.keys.delayed, ""
	}
	for _, kind := range []string{f.keys.items, f.keys.claims} {
		if place, ok := strings.CutPrefix(key, kind); ok {
			return kind, place
		}
	}
	return "", ""
}

func (f *feed) add(place string, create int64) *entry {
	e := &entry{place: place, create: create}
	f.entries[place] = e
	return e
}

func (f *feed) drop(e *entry) {
	if f.entries[e.place] == e {
		delete(f.entries, e.place)
		f.list(e)
	}
}

// list puts the entry among those to hand out, or takes it from there.
func (f *feed) list(e *entry) {
	want := f.entries[e.place] == e && !e.claimed && !e.taken && e.seen >= e.stale
	if want == e.listed {
		return
	}
	e.listed = want
	i, _ := slices.BinarySearchFunc(f.avail, e, func(a, b *entry) int { return strings.Compare(a.place, b.place) })
	if want {
		f.avail = slices.Insert(f.avail, i, e)
	} else {
		f.avail = slices.Delete(f.avail, i, i+1)
	}
}

// handOut gives what there is to those who wait.
func (f *feed) handOut() {
	for len(f.waiters) > 0 && len(f.avail) > 0 && !f.paused {
		f.waiters[0].given <- f.pop()
		f.waiters = f.waiters[1:]
	}
	if len(f.waiters) > 0 && len(f.avail) == 0 && f.horizon != "" && !f.paused {
		f.waiters[0].given <- nil // to read on
		f.waiters = f.waiters[1:]
	}
	if len(f.entries) > maxKnown && len(f.avail) > maxKnown/2 {
		f.shorten()
	}
}

// shorten forgets what lies far behind.
func (f *feed) shorten() {
	f.horizon = f.avail[maxKnown/4].place
	for place, e := range f.entries {
		if place >= f.horizon {
			delete(f.entries, place)
			e.listed = false
		}
	}
	clear(f.avail[maxKnown/4:])
	f.avail = f.avail[:maxKnown/4]
}

// rouse makes all waiters look again.
func (f *feed) rouse() {
	for _, w := range f.waiters {
		w.given <- nil
	}
	f.waiters = nil
}

func (f *feed) pop() *entry {
	e := f.avail[0]
	f.avail[0] = nil
	f.avail = f.avail[1:]
	e.listed, e.taken = false, true
	return e
}

// state is what a consumer that asks for an item is told.
type state struct {
	entry  *entry  // the item, or nil
	stale  bool    // sync first
	more   bool    // extend first
	due    bool    // a delayed item is due: move it first
	waiter *waiter // else it has to wait
	next   int64   // when the next delayed item is due, or 0
}

// next takes the first item. Without one, it makes the caller a waiter, if that is wanted.
func (f *feed) next(wait bool) state {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := state{next: f.due}
	switch {
	case !f.synced || f.err != nil:
		st.stale = true
	case f.due != 0 && f.due <= time.Now().UnixMilli():
		st.due = true
	case !f.paused && len(f.avail) > 0:
		st.entry = f.pop()
	case !f.paused && f.horizon != "":
		st.more = true
	case wait:
		st.waiter = &waiter{make(chan *entry, 1)}
		f.waiters = append(f.waiters, st.waiter)
	}
	return st
}

// pass makes another waiter read on, if the one who was told to has not.
func (f *feed) pass() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handOut()
}

// leave ends a wait. What was given meanwhile goes back.
func (f *feed) leave(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.waiters, w); i >= 0 {
		f.waiters = slices.Delete(f.waiters, i, i+1)
		return
	}
	select {
	case e := <-w.given:
		if e != nil {
			f.back(e)
		}
	default:
	}
	f.handOut()
}

// giveBack returns an item that was not claimed, as far as anybody knows.
func (f *feed) giveBack(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.back(e)
	f.handOut()
}

func (f *feed) back(e *entry) {
	e.taken = false
	f.list(e)
}

// claimed: the item is this process's since the revision fence.
func (f *feed) claimed(e *entry, fence int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.seen < fence {
		e.seen, e.claimed = fence, true
	}
	f.back(e)
}

// lost: another's claim was found, created at a revision, or that the item is gone.
func (f *feed) lost(e *entry, gone bool, claim int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if gone {
		f.drop(e)
	} else {
		e.stale = claim
	}
	f.back(e)
	f.handOut()
}

// lookDue tells when the next delayed item is due, to somebody who is about to read them.
func (f *feed) lookDue() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newDue = 0
	return f.due
}

// setDue takes what was read since lookDue.
func (f *feed) setDue(due int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = earlier(f.newDue, due)
	f.rouse()
}

// earlier of two times, of which 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
