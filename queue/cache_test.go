package queue

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// model is a queue in memory: what a cache is told about, and what it must know in the end.
type model struct {
	keys   keys
	rev    int64
	items  map[string]int64 // by place: create_revision
	claims map[string]int64
	log    []gateway.Event
}

func (m *model) put(kind map[string]int64, prefix, place string) {
	m.rev++
	kind[place] = m.rev
	m.log = append(m.log, gateway.Event{
		KV: gateway.KeyValue{Key: prefix + place, CreateRevision: m.rev, ModRevision: m.rev},
	})
}

func (m *model) remove(kind map[string]int64, prefix, place string) {
	delete(kind, place)
	m.log = append(m.log, gateway.Event{
		Deleted: true, KV: gateway.KeyValue{Key: prefix + place, ModRevision: m.rev},
	})
}

// step changes the queue as its users do.
func (m *model) step(next *int64) {
	places := make([]string, 0, len(m.items))
	for p := range m.items {
		places = append(places, p)
	}
	slices.Sort(places)
	switch n := rand.N(10); {
	case n < 4 || len(places) == 0:
		*next++
		m.put(m.items, m.keys.items, place(rand.N(3), *next))
	default:
		p := places[rand.N(min(len(places), 40))]
		switch _, claimed := m.claims[p]; {
		case !claimed:
			m.put(m.claims, m.keys.claims, p)
		case n < 8: // ack
			m.rev++
			m.remove(m.claims, m.keys.claims, p)
			m.remove(m.items, m.keys.items, p)
		default: // given back
			m.rev++
			m.remove(m.claims, m.keys.claims, p)
		}
	}
}

// watching returns an empty cache with a watch.
func watching(k keys) *itemCache {
	return &itemCache{
		keys: k, turn: make(chan struct{}, 1), entries: map[string]*entry{},
		held: map[*entry]struct{}{}, watch: &itemWatch{created: make(chan struct{})},
	}
}

// read answers as etcd does.
func (m *model) read(from string, limit int64) *gateway.TxnResponse {
	get := func(kind map[string]int64, prefix string, limit int64) gateway.OpResponse {
		out := &gateway.GetResponse{}
		var places []string
		for p := range kind {
			if p >= from {
				places = append(places, p)
			}
		}
		slices.Sort(places)
		if int64(len(places)) > limit {
			places, out.More = places[:limit], true
		}
		for _, p := range places {
			out.KVs = append(out.KVs, gateway.KeyValue{Key: prefix + p, CreateRevision: kind[p]})
		}
		return gateway.OpResponse{Get: out}
	}
	none := gateway.OpResponse{Get: &gateway.GetResponse{}}
	return &gateway.TxnResponse{
		Header: gateway.Header{Revision: m.rev},
		Responses: []gateway.OpResponse{
			get(m.items, m.keys.items, limit), get(m.claims, m.keys.claims, 1<<30),
			none, none, none, none, none,
		},
	}
}

// find makes a claim find another, created at a revision, unless that is 0.
func (c *claim) find(created, at int64) {
	if created != 0 {
		c.found = &gateway.KeyValue{CreateRevision: created, ModRevision: created, Lease: 1}
		c.foundAt = at
	}
}

// TestCacheIsRight: whatever the order in which reads and the watch, which is late, tell of the
// same changes, the cache has the right items to hand out once the watch has caught up; also when
// consumers take some and fail, or read on.
func TestCacheIsRight(t *testing.T) {
	t.Parallel()
	for range 100 {
		m := &model{keys: keysOf("a"), items: map[string]int64{}, claims: map[string]int64{}}
		var next int64
		steps := func() {
			for range rand.N(30) {
				m.step(&next)
			}
		}
		steps()
		ic := watching(m.keys)
		m.log = nil // the watch is from now on
		tell := func(n int) {
			for range n {
				if len(m.log) == 0 {
					return
				}
				cut := 1
				for cut < len(m.log) && m.log[cut].KV.ModRevision == m.log[0].KV.ModRevision {
					cut++
				}
				ic.take(ic.watch, gateway.WatchResponse{Events: m.log[:cut], Revision: m.log[0].KV.ModRevision})
				m.log = m.log[cut:]
			}
		}
		read := func(from string) {
			ic.expect(ic.watch)
			steps()
			tell(rand.N(20))
			resp := m.read(from, 5+rand.N[int64](20))
			steps()
			tell(rand.N(20))
			ic.merge(ic.watch, from, "", resp, nil)
		}
		read("")
		var held []*entry
		for range 30 {
			steps()
			tell(rand.N(20))
			st := ic.next(unsent, false, nil)
			switch {
			case st.more:
				read(ic.horizon)
			case st.claim != nil:
				held = append(held, st.claim.entry)
			case rand.N(2) == 0:
				read("")
			}
			if len(held) > 0 && rand.N(2) == 0 { // what a claim finds out
				e := held[0]
				held = held[1:]
				_, there := m.items[e.place]
				other := m.claims[e.place]
				switch {
				case !there || other != 0:
					c := &claim{entry: e, gone: !there}
					c.find(other, m.rev)
					steps()
					tell(rand.N(40)) // the answer may be later than the events
					ic.lost(c)
				case rand.N(2) == 0:
					m.put(m.claims, m.keys.claims, e.place)
					fence := m.rev
					taken := rand.N(2) == 0 // away by an operator
					if taken {
						m.rev++
						m.remove(m.claims, m.keys.claims, e.place)
					}
					steps()
					tell(rand.N(40))
					ic.claimed(e, fence)
					if !taken && m.claims[e.place] == fence && rand.N(2) == 0 { // given back by its consumer
						m.rev++
						m.remove(m.claims, m.keys.claims, e.place)
						steps()
						tell(rand.N(40))
						ic.ended(e.place, fence)
					}
				default:
					ic.giveBack(e)
				}
			}
		}
		for _, e := range held {
			ic.giveBack(e)
		}
		tell(len(m.log))
		var want, got []string
		for p := range m.items {
			if m.claims[p] == 0 && ic.known(p) {
				want = append(want, p)
			}
		}
		slices.Sort(want)
		for _, e := range ic.avail {
			got = append(got, e.place)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the cache has %v,\nright would be %v", got, want)
		}
		for p, e := range ic.entries {
			if e.create != m.items[p] {
				t.Fatalf("the cache knows %s of %d, right would be %d", p, e.create, m.items[p])
			}
		}
	}
}

// unsent stands for a claim that nobody sends.
func unsent(e *entry) *claim { return &claim{entry: e} }

// TestCacheKnowsOldNews: what the watch tells late of the time before a read, or before an answer,
// changes nothing.
func TestCacheKnowsOldNews(t *testing.T) {
	t.Parallel()
	for range 100 {
		m := &model{keys: keysOf("a"), items: map[string]int64{}, claims: map[string]int64{}}
		var next int64
		ic := watching(m.keys)
		ic.merge(ic.watch, "", "", m.read("", window), nil)
		for range 60 {
			m.step(&next)
		}
		ic.expect(ic.watch)
		ic.merge(ic.watch, "", "", m.read("", window), nil)
		want := slices.Clone(ic.avail)
		if len(want) > 0 { // somebody else claims the first, we learn it from the answer to our claim
			m.put(m.claims, m.keys.claims, want[0].place)
			c := ic.next(unsent, false, nil).claim
			c.find(m.rev, m.rev)
			ic.lost(c)
			want = want[1:]
		}
		if len(want) > 0 { // and the second is ours
			m.put(m.claims, m.keys.claims, want[0].place)
			ic.claimed(ic.next(unsent, false, nil).claim.entry, m.rev)
			want = want[1:]
		}
		for {
			if !slices.Equal(ic.avail, want) {
				t.Fatalf("the cache went back in time: %d items to hand out, not %d", len(ic.avail), len(want))
			}
			if len(m.log) == 0 {
				break
			}
			ic.take(ic.watch, gateway.WatchResponse{Events: m.log[:1], Revision: m.log[0].KV.ModRevision})
			m.log = m.log[1:]
		}
		if len(want) > 0 { // ours again, but taken away before we learn it
			e := ic.next(unsent, false, nil).claim.entry
			m.put(m.claims, m.keys.claims, e.place)
			fence := m.rev
			m.rev++
			m.remove(m.claims, m.keys.claims, e.place)
			ic.take(ic.watch, gateway.WatchResponse{Events: m.log, Revision: m.rev})
			m.log = nil
			if ic.claimed(e, fence); !slices.Equal(ic.avail, want) {
				t.Fatal("an item that can be had is not handed out")
			}
		}
	}
}

// TestCacheForgets: a cache does not grow with the queue.
func TestCacheForgets(t *testing.T) {
	t.Parallel()
	m := &model{keys: keysOf("a"), items: map[string]int64{}, claims: map[string]int64{}}
	ic := watching(m.keys)
	ic.merge(ic.watch, "", "", m.read("", window), nil)
	for i := range 3 * maxKnown {
		m.put(m.items, m.keys.items, place(0, int64(i+1)))
		ic.take(ic.watch, gateway.WatchResponse{Events: m.log, Revision: m.rev})
		m.log = nil
	}
	if len(ic.entries) > maxKnown {
		t.Errorf("it has %d entries", len(ic.entries))
	}
	for i := range 3 * maxKnown {
		st := ic.next(unsent, false, nil)
		if st.more {
			ic.expect(ic.watch)
			ic.merge(ic.watch, ic.horizon, "", m.read(ic.horizon, window), nil)
			st = ic.next(unsent, false, nil)
		}
		if want := place(0, int64(i+1)); st.claim == nil || st.claim.entry.place != want {
			t.Fatalf("item %d: %+v", i, st.claim)
		}
		ic.claimed(st.claim.entry, m.rev)
		m.rev++
		m.remove(m.items, m.keys.items, st.claim.entry.place)
		ic.take(ic.watch, gateway.WatchResponse{Events: m.log, Revision: m.rev})
		m.log = nil
	}
	if len(ic.entries) != 0 || len(ic.floors) > 3 {
		t.Errorf("in the end it has %d entries and %d floors", len(ic.entries), len(ic.floors))
	}
}

// TestCacheHandsOut in the order of asking, and passes on what those who leave were given.
func TestCacheHandsOut(t *testing.T) {
	t.Parallel()
	m := &model{keys: keysOf("a"), items: map[string]int64{}, claims: map[string]int64{}}
	ic := watching(m.keys)
	ic.merge(ic.watch, "", "", m.read("", window), nil)
	var waiters []*waiter
	for range 4 {
		waiters = append(waiters, ic.next(unsent, true, nil).waiter)
	}
	ic.leave(waiters[1])
	for i := range 2 {
		m.put(m.items, m.keys.items, place(0, int64(i+1)))
	}
	ic.take(ic.watch, gateway.WatchResponse{Events: m.log, Revision: m.rev})
	if c := ic.leave(waiters[0]); c == nil || c.entry.place != place(0, 1) {
		t.Errorf("who left too late was given %+v", c)
	}
	var got []string
	for _, w := range waiters {
		select {
		case c := <-w.given:
			got = append(got, c.entry.place)
		default:
			got = append(got, "")
		}
	}
	if want := []string{"", "", place(0, 2), ""}; !slices.Equal(got, want) {
		t.Errorf("given: %v", got)
	}
}

// TestNoWaitBesideUnowned: nobody begins to wait while claims are noted that are to be deleted,
// since that wakes only those who wait already.
func TestNoWaitBesideUnowned(t *testing.T) {
	t.Parallel()
	ic := &itemCache{synced: true}
	ic.noteUnowned(gateway.Txn{})
	if st := ic.next(nil, true, nil); st.waiter != nil || st.empty() {
		t.Errorf("with a claim to delete: %+v", st)
	}
	ic.unowned = nil
	if st := ic.next(nil, true, nil); st.waiter == nil {
		t.Errorf("without: %+v", st)
	}
}
