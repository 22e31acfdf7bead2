package queue

import (
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// entry is an item. What is known of its claim is right as of the revision seen.
type entry struct {
	place    string
	create   int64
	value    []byte // as the watch told it, unless it is large or has been handed out
	seen     int64
	claim    int64 // its create_revision, 0 if there is none
	unleased int64 // the mod_revision of the last claim that was under no lease
	over     int64 // claims up to this one have ended, whatever news of them is still to come
	taken    bool  // by a local consumer, who tries to claim it
	stale    int64 // another's claim was found that seen does not reach yet
	listed   bool  // in avail
}

// floor: what lies at place and behind, up to the next floor, was read at revision; older events
// are old news.
type floor struct {
	place    string
	revision int64
}

// known tells whether a place is before the horizon.
func (ic *itemCache) known(place string) bool { return ic.horizon == "" || place < ic.horizon }

func (ic *itemCache) floor(place string) (revision int64) {
	for _, o := range ic.floors {
		if o.place > place {
			break
		}
		revision = o.revision
	}
	return revision
}

func (ic *itemCache) apply(ev gateway.Event) {
	kind, place := ic.sort(ev.KV.Key)
	rev := ev.KV.ModRevision
	switch kind {
	case ic.keys.paused:
		if rev > ic.floors[0].revision {
			ic.paused = !ev.Deleted
		}
	case ic.keys.gaps: // of another process, perhaps
		ic.resetRemoved()
		if stored := parseGaps(&gateway.GetResponse{KVs: []gateway.KeyValue{ev.KV}}); !ev.Deleted &&
			stored.tail == ic.tailCreated {
			ic.gaps = stored
		}
	case ic.keys.delayed:
		due, ok := ic.keys.dueOf(ev.KV.Key)
		if !ok || ev.Deleted {
			return
		}
		ic.newDue = earlier(ic.newDue, due)
		ic.dueFrom = min(ic.dueFrom, due)
		if was := ic.due; earlier(was, due) != was {
			ic.due = due
			ic.wakeAll()
		}
	case ic.keys.items:
		e := ic.entries[place]
		switch {
		case !ic.known(place) || rev <= ic.floor(place):
		case ev.Deleted && e != nil:
			ic.drop(e)
		case !ev.Deleted && e == nil:
			e = ic.add(place, ev.KV.CreateRevision)
			e.seen = rev
			if len(ev.KV.Value) <= keptValue {
				e.value = ev.KV.Value
			}
			ic.list(e)
		}
	case ic.keys.claims:
		if e := ic.entries[place]; e != nil && rev > e.seen {
			if e.seen, e.claim = rev, 0; !ev.Deleted {
				e.claim = ev.KV.CreateRevision
				ic.unleased(e, ev.KV)
			}
			ic.list(e)
		}
	}
}

// sort tells what kind of key it is, by where such keys lie, and the place if it has one.
func (ic *itemCache) sort(key string) (kind, place string) {
	switch {
	case key == ic.keys.paused, key == ic.keys.gaps:
		return key, ""
	case strings.HasPrefix(key, ic.keys.delayed):
		return ic.keys.delayed, ""
	}
	for _, kind := range []string{ic.keys.items, ic.keys.claims} {
		if place, ok := strings.CutPrefix(key, kind); ok {
			return kind, place
		}
	}
	return "", ""
}

func (ic *itemCache) add(place string, create int64) *entry {
	e := &entry{place: place, create: create}
	ic.entries[place] = e
	return e
}

func (ic *itemCache) drop(e *entry) {
	if ic.entries[e.place] == e {
		delete(ic.entries, e.place)
		ic.list(e)
		ic.removed++
		if p, ok := priorityOf(e.place); ok {
			ic.used[p] = true
		}
	}
}

// list puts the entry among those to hand out, or takes it from there.
func (ic *itemCache) list(e *entry) {
	want := ic.entries[e.place] == e && e.claim <= e.over && !e.taken && e.seen >= e.stale
	if want == e.listed {
		return
	}
	e.listed = want
	i, _ := slices.BinarySearchFunc(ic.avail, e, func(a, b *entry) int {
		return strings.Compare(a.place, b.place)
	})
	if want {
		ic.avail = slices.Insert(ic.avail, i, e)
	} else {
		ic.avail = slices.Delete(ic.avail, i, i+1)
	}
}

// shorten forgets what lies far behind.
func (ic *itemCache) shorten() {
	ic.horizon = ic.avail[maxKnown/4].place
	for place, e := range ic.entries {
		if place >= ic.horizon {
			delete(ic.entries, place)
			e.listed = false
		}
	}
	clear(ic.avail[maxKnown/4:])
	ic.avail = ic.avail[:maxKnown/4]
}
