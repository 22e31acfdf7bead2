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
func (f *itemCache) known(place string) bool { return f.horizon == "" || place < f.horizon }

func (f *itemCache) floor(place string) (revision int64) {
	for _, o := range f.floors {
		if o.place > place {
			break
		}
		revision = o.revision
	}
	return revision
}

func (f *itemCache) apply(ev gateway.Event) {
	kind, place := f.sort(ev.KV.Key)
	rev := ev.KV.ModRevision
	switch kind {
	case f.keys.paused:
		if rev > f.floors[0].revision {
			f.paused = !ev.Deleted
		}
	case f.keys.gaps: // of another process, perhaps
		f.resetRemoved()
		if stored := parseGaps(&gateway.GetResponse{KVs: []gateway.KeyValue{ev.KV}}); !ev.Deleted &&
			stored.tail == f.tailCreated {
			f.gaps = stored
		}
	case f.keys.delayed:
		due, ok := f.keys.dueOf(ev.KV.Key)
		if !ok || ev.Deleted {
			return
		}
		f.newDue = earlier(f.newDue, due)
		f.dueFrom = min(f.dueFrom, due)
		if was := f.due; earlier(was, due) != was {
			f.due = due
			f.wakeAll()
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
			if len(ev.KV.Value) <= keptValue {
				e.value = ev.KV.Value
			}
			f.list(e)
		}
	case f.keys.claims:
		if e := f.entries[place]; e != nil && rev > e.seen {
			if e.seen, e.claim = rev, 0; !ev.Deleted {
				e.claim = ev.KV.CreateRevision
				f.unleased(e, ev.KV)
			}
			f.list(e)
		}
	}
}

// sort tells what kind of key it is, by where such keys lie, and the place if it has one.
func (f *itemCache) sort(key string) (kind, place string) {
	switch {
	case key == f.keys.paused, key == f.keys.gaps:
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

func (f *itemCache) add(place string, create int64) *entry {
	e := &entry{place: place, create: create}
	f.entries[place] = e
	return e
}

func (f *itemCache) drop(e *entry) {
	if f.entries[e.place] == e {
		delete(f.entries, e.place)
		f.list(e)
		f.removed++
		if p, ok := priorityOf(e.place); ok {
			f.used[p] = true
		}
	}
}

// list puts the entry among those to hand out, or takes it from there.
func (f *itemCache) list(e *entry) {
	want := f.entries[e.place] == e && e.claim <= e.over && !e.taken && e.seen >= e.stale
	if want == e.listed {
		return
	}
	e.listed = want
	i, _ := slices.BinarySearchFunc(f.avail, e, func(a, b *entry) int {
		return strings.Compare(a.place, b.place)
	})
	if want {
		f.avail = slices.Insert(f.avail, i, e)
	} else {
		f.avail = slices.Delete(f.avail, i, i+1)
	}
}

// shorten forgets what lies far behind.
func (f *itemCache) shorten() {
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
