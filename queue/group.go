package queue

import (
	"slices"
	"strings"
)

// A group's items of one priority are claimed in their order without a key or a compare for it. A
// cache that knows an item knows all earlier items that there are: they have smaller numbers, so
// they were committed before, and no new item is put before them. What the cache does not know yet
// can only be that some of them are gone. So an item before which the cache knows fewer than
// PerGroup items of its group may be claimed, and at no time are more than PerGroup claimed.
//
// An extension can read items that a late watch has not reported. The horizon from which it reads
// lies between two priorities, or no new item of its priority can be put before it, so there is no
// earlier one that only the watch will report.

// group is the items of one group and one priority that the cache knows, in their order. The first
// of them, as many as [Options].PerGroup, have their turn.
type group []*entry

// groupOf returns the key of an entry's group in the cache.
func groupOf(e *entry) string { return e.place[:1] + e.group }

func (g group) index(e *entry) (int, bool) {
	return slices.BinarySearchFunc(g, e, func(a, b *entry) int {
		return strings.Compare(a.place, b.place)
	})
}

// enterGroup gives the entry its turn, or a place in its group.
func (ic *itemCache) enterGroup(e *entry) {
	e.turn = e.group == ""
	if e.turn {
		return
	}
	if ic.groups == nil {
		ic.groups = map[string]group{}
	}
	g := ic.groups[groupOf(e)]
	i, _ := g.index(e)
	g = slices.Insert(g, i, e)
	ic.groups[groupOf(e)] = g
	n := ic.id.perGroup
	if e.turn = i < n; e.turn && len(g) > n {
		ic.setTurn(g[n], false)
	}
}

// leaveGroup gives the next of the group its turn.
func (ic *itemCache) leaveGroup(e *entry) {
	if e.group == "" {
		return
	}
	g := ic.groups[groupOf(e)]
	i, found := g.index(e)
	if !found || g[i] != e {
		return
	}
	if i == 0 {
		g[0] = nil
		g = g[1:] // the others need not move
	} else {
		g = slices.Delete(g, i, i+1)
	}
	if len(g) == 0 {
		delete(ic.groups, groupOf(e))
		return
	}
	ic.groups[groupOf(e)] = g
	if n := ic.id.perGroup; i < n && len(g) >= n {
		ic.setTurn(g[n-1], true)
	}
}

func (ic *itemCache) setTurn(e *entry, turn bool) {
	e.turn = turn
	ic.list(e)
}

// cutGroups forgets the items from the horizon on.
func (ic *itemCache) cutGroups() {
	for name, g := range ic.groups {
		n, _ := g.index(&entry{place: ic.horizon})
		clear(g[n:])
		if g = g[:n]; n == 0 {
			delete(ic.groups, name)
		} else {
			ic.groups[name] = g
		}
	}
}

// postpone notes until when an item that was given back with a delay is not claimed.
func (ic *itemCache) postpone(e *entry, until int64) {
	e.until = until
	delete(ic.postponed, e)
	if until > 0 {
		if ic.postponed == nil {
			ic.postponed = map[*entry]struct{}{}
		}
		ic.postponed[e] = struct{}{}
		if was := ic.resume; earlier(was, until) != was {
			ic.resume = until
			ic.wakeAll()
		}
	}
	ic.list(e)
}

// endPostponed lists the items whose delay is over.
func (ic *itemCache) endPostponed(now int64) {
	if ic.resume == 0 || now < ic.resume {
		return
	}
	ic.resume = 0
	for e := range ic.postponed {
		switch {
		case ic.entries[e.place] != e:
			delete(ic.postponed, e)
		case e.until <= now:
			ic.postpone(e, 0)
		default:
			ic.resume = earlier(ic.resume, e.until)
		}
	}
}
