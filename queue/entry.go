package queue

import (
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// entry is an item.
type entry struct {
	place  string
	group  string
	create int64
	value  []byte // as the watch told it, unless it is large or has been handed out
	listed bool   // in avail
	turn   bool   // not behind others of its group
	until  int64  // when it may be claimed, in milliseconds since 1970, or 0
	noted  int64  // the revision that until is right at

	keyState // of its claim
}

// keyState is what is known of a key that one consumer at a time puts. It is right as of the
// revision seen.
type keyState struct {
	seen     int64
	claim    int64 // its create_revision, 0 if there is none
	unleased int64 // the mod_revision of the last claim that was under no lease
	over     int64 // claims up to this one have ended, whatever news of them is still to come
	taken    bool  // by a local consumer, who tries to claim it
	stale    int64 // another's claim was found that seen does not reach yet
}

func (k *keyState) free() bool { return !k.claimed() && !k.taken }

// claimed: there is a claim, as far as is known.
func (k *keyState) claimed() bool { return k.claim > k.over || k.seen < k.stale }

// saw takes the state of the key at a revision.
func (ic *itemCache) saw(k *keyState, revision int64, kv gateway.KeyValue, there bool) {
	if k.seen, k.claim = revision, 0; there {
		k.claim = kv.CreateRevision
		ic.unleased(k, kv)
	}
}

func (e *entry) key() string { return itemKey(e.place, e.group) }

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
	kind, place, group := ic.sort(ev.KV.Key)
	rev := ev.KV.ModRevision
	switch kind {
	case ic.keys.paused:
		ic.setPaused(!ev.Deleted, rev)
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
		case !ev.Deleted && e == nil && rev > ic.refreshed:
			e = ic.add(place, group, ev.KV.CreateRevision)
			e.seen, e.noted = rev, rev
			if len(ev.KV.Value) <= keptValue && e.turn {
				e.value = ev.KV.Value
			}
			ic.list(e)
		}
	case ic.keys.claims:
		if e := ic.entries[place]; e != nil && rev > e.seen {
			ic.saw(&e.keyState, rev, ev.KV, !ev.Deleted)
			ic.list(e)
		}
	case ic.keys.slots:
		ic.applySlot(ev)
	case ic.keys.retries:
		if e := ic.entries[place]; e != nil && rev > e.noted {
			e.noted = rev
			ic.postpone(e, parseRetry(ev.KV, ev.Deleted))
		}
	}
}

func (ic *itemCache) setPaused(paused bool, revision int64) {
	if revision > ic.pausedAt {
		ic.paused, ic.pausedAt = paused, revision
	}
}

// sort tells what kind of key it is, by where such keys lie, and the place and group if it has one.
func (ic *itemCache) sort(key string) (kind, place, group string) {
	switch {
	case key == ic.keys.paused, key == ic.keys.gaps:
		return key, "", ""
	case strings.HasPrefix(key, ic.keys.delayed):
		return ic.keys.delayed, "", ""
	case strings.HasPrefix(key, ic.keys.slots):
		return ic.keys.slots, "", ""
	}
	if item, ok := strings.CutPrefix(key, ic.keys.items); ok {
		place, group = parseItemKey(item)
		return ic.keys.items, place, group
	}
	for _, kind := range []string{ic.keys.claims, ic.keys.retries} {
		if place, ok := strings.CutPrefix(key, kind); ok {
			return kind, place, ""
		}
	}
	return "", "", ""
}

func (ic *itemCache) add(place, group string, create int64) *entry {
	e := &entry{place: place, group: group, create: create}
	ic.entries[place] = e
	if p, ok := priorityOf(place); ok {
		ic.numbered[p] = true
	}
	ic.enterGroup(e)
	return e
}

func (ic *itemCache) drop(e *entry) {
	if ic.entries[e.place] == e {
		delete(ic.entries, e.place)
		ic.leaveGroup(e)
		delete(ic.postponed, e)
		ic.list(e)
		ic.removed++
		if p, ok := priorityOf(e.place); ok {
			ic.used[p] = true
		}
	}
}

// list puts the entry among those to hand out, or takes it from there.
func (ic *itemCache) list(e *entry) {
	there := ic.entries[e.place] == e
	if there && (e.claimed() || e.until != 0) {
		ic.held[e] = struct{}{}
	} else {
		delete(ic.held, e)
	}
	want := there && e.free() && e.turn && e.until == 0
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
			delete(ic.held, e)
			e.listed = false
		}
	}
	ic.cutGroups()
	clear(ic.avail[maxKnown/4:])
	ic.avail = ic.avail[:maxKnown/4]
}
