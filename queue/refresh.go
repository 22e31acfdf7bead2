package queue

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// refresh makes a complete cache right at a revision that is not older than the call. It reads the
// items behind the last number, and the claims of the items that are held, so it passes no key that
// was deleted before. It returns false if there are more new items than one answer has, or if the
// watch has ended.
func (ic *itemCache) refresh(ctx context.Context, l *itemWatch) (bool, error) {
	ic.mu.Lock()
	if ic.watch != l || !ic.synced {
		ic.mu.Unlock()
		return false, nil
	}
	created := ic.tailCreated
	held := make([]*entry, 0, len(ic.held))
	for e := range ic.held {
		held = append(held, e)
	}
	fresh, horizon := ic.ends(), ic.horizon
	ic.mu.Unlock()
	news := func(prefix string) []gap { return before(fresh.between(prefix, ""), prefix, horizon) }

	var places, grouped []string
	for _, e := range held {
		places = append(places, e.place)
		if e.group != "" {
			grouped = append(grouped, e.place)
		}
	}
	items := getRanges(news(ic.keys.items), gateway.Limit(int64(maxKnown)), gateway.KeysOnly())
	claims := getRanges(append(spans(ic.keys.claims, places), news(ic.keys.claims)...))
	retries := getRanges(append(spans(ic.keys.retries, grouped), news(ic.keys.retries)...))
	resp, err := ic.id.c.Txn(ctx, gateway.Txn{
		Then: slices.Concat(ic.readState(true), items, claims, retries),
	})
	if err != nil {
		return false, err
	}
	state, rest := resp.Responses[:stateOps], resp.Responses[stateOps:]
	n, m := len(items), len(items)+len(claims)
	ic.mu.Lock()
	defer ic.mu.Unlock()
	found := joined(rest[:n]).Get
	tailCreated, next := tailOf(state[tailOp].Get)
	if ic.watch != l || found.More || tailCreated != created {
		return false, nil
	}
	ic.mergeState(state, resp.Revision)
	claimed := byPlace(ic.keys.claims, joined(rest[n:m]).Get)
	retry := byPlace(ic.keys.retries, joined(rest[m:]).Get)
	for _, kv := range found.KVs {
		place, group := parseItemKey(strings.TrimPrefix(kv.Key, ic.keys.items))
		e := ic.entries[place]
		if e == nil && ic.known(place) && ic.seenAt < resp.Revision { // else it is gone since
			e = ic.add(place, group, kv.CreateRevision)
		}
		if e != nil { // also if the watch has reported it meanwhile
			held = append(held, e)
		}
	}
	for _, e := range held {
		if ic.entries[e.place] == e {
			ic.mergeEntry(e, resp.Revision, claimed, retry)
		}
	}
	ic.allBefore, ic.refreshed = next, resp.Revision
	ic.seenAt = max(ic.seenAt, resp.Revision)
	ic.dispatch()
	return true, nil
}

// ends are the ranges of numbers, of each priority that had items, whose items are known or gone.
// The cache is locked.
func (ic *itemCache) ends() gaps {
	numbered := ic.numbered
	for _, r := range ic.gaps.list {
		p, _ := priorityOf(r.from)
		numbered[p] = true
	}
	var g gaps
	for p := MaxPriority; p >= 0; p-- {
		if numbered[p] && ic.allBefore > 1 {
			g.list = append(g.list, gap{place(p, 1), place(p, ic.allBefore)})
		}
	}
	return g
}

// spans returns the ranges of keys with the prefix, at most maxSpans, that hold the places. They
// are divided where the places are farthest apart.
func spans(prefix string, places []string) (ranges []gap) {
	slices.Sort(places)
	var cuts []int // before these places
	for i := range places {
		cuts = append(cuts, i)
	}
	if len(cuts) > maxSpans {
		width := func(i int) int64 {
			if i == 0 {
				return math.MaxInt64
			}
			p, ok := priorityOf(places[i-1])
			if next, also := priorityOf(places[i]); !ok || !also || p != next {
				return math.MaxInt64
			}
			return gap{places[i-1], places[i]}.width()
		}
		slices.SortFunc(cuts, func(i, j int) int { return cmp.Compare(width(j), width(i)) })
		cuts = cuts[:maxSpans]
		slices.Sort(cuts)
	}
	for n, i := range cuts {
		last := len(places)
		if n+1 < len(cuts) {
			last = cuts[n+1]
		}
		ranges = append(ranges, gap{prefix + places[i], prefix + places[last-1] + "\x00"})
	}
	return ranges
}
