package queue

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// maxSpans is how many ranges hold the claims of a refresh. With them, the retries and the new items
// of ten priorities, the transaction stays within etcd's 128 operations.
const maxSpans = 32

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
	fresh := ic.ends()
	ic.mu.Unlock()

	var places, grouped []string
	for _, e := range held {
		places = append(places, e.place)
		if e.group != "" {
			grouped = append(grouped, e.place)
		}
	}
	items := getRanges(fresh.between(ic.keys.items, ""), gateway.Limit(maxKnown), gateway.KeysOnly())
	claims := getRanges(append(spans(ic.keys.claims, places),
		fresh.between(ic.keys.claims, "")...))
	retries := getRanges(append(spans(ic.keys.retries, grouped),
		fresh.between(ic.keys.retries, "")...))
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
	tailCreated, next := tailOf(state)
	if ic.watch != l || found.More || tailCreated != created {
		return false, nil
	}
	ic.mergeState(state, resp.Revision)
	claimed := byPlace(ic.keys.claims, joined(rest[n:m]).Get)
	retry := byPlace(ic.keys.retries, joined(rest[m:]).Get)
	for _, kv := range found.KVs {
		place, group := parseItemKey(strings.TrimPrefix(kv.Key, ic.keys.items))
		if e := ic.entries[place]; e == nil && ic.known(place) {
			held = append(held, ic.add(place, group, kv.CreateRevision))
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

// spans returns the ranges of keys with the prefix, at most maxSpans, that hold the places. They are
// divided where the places are farthest apart.
func spans(prefix string, places []string) (ranges []gap) {
	slices.Sort(places)
	var cuts []int // before these places
	for i := range places {
		cuts = append(cuts, i)
	}
	if len(cuts) > maxSpans {
		width := func(i int) int64 {
			if i == 0 || places[i-1][:1] != places[i][:1] {
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

// stateOps is the number of operations of readState.
const stateOps = 4

// readState reads what a cache knows besides the items. If the watch has reported all since an
// earlier read, only a delayed item that is due may be missing: etcd passes all keys of a range,
// also with a limit.
func (ic *itemCache) readState(synced bool) []gateway.Op {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	from, end := int64(0), until(ic.keys.delayed)
	if synced {
		from = ic.dueFrom
		end = ic.keys.dueKey(max(time.Now().UnixMilli(), from)+1, "")
	}
	return []gateway.Op{
		gateway.OpGet(ic.keys.paused, gateway.KeysOnly()),
		gateway.OpGet(ic.keys.dueKey(from, ""), gateway.Range(end), gateway.Limit(duePage),
			gateway.KeysOnly()),
		gateway.OpGet(ic.keys.slots, gateway.Prefix()),
		gateway.OpGet(ic.keys.tail),
	}
}

// mergeState takes the answers to readState. The cache is locked.
func (ic *itemCache) mergeState(answers []gateway.OpResponse, revision int64) {
	ic.setPaused(len(answers[0].Get.KVs) > 0, revision)
	delayed := answers[1].Get
	if kvs := ic.keys.onlyDue(delayed.KVs); len(kvs) > 0 {
		due, _ := ic.keys.dueOf(kvs[0].Key)
		ic.due = earlier(ic.due, due)
	} else if delayed.More {
		ic.due = max(ic.dueFrom, 1) // the next is behind foreign keys, which moveDue skips
	}
	ic.readSlots(answers[2].Get.KVs, revision)
}

// dueAfter returns a time before which no delayed item is due, from the answers to the readState of
// a cache that was not synced.
func dueAfter(k *keys, answers []gateway.OpResponse) int64 {
	delayed := answers[1].Get
	if kvs := k.onlyDue(delayed.KVs); len(kvs) > 0 {
		due, _ := k.dueOf(kvs[0].Key)
		return due
	}
	if delayed.More {
		return 0
	}
	return time.Now().UnixMilli()
}

// tailOf returns the tail that readState has read. One that is corrupt has no number.
func tailOf(answers []gateway.OpResponse) (created, next int64) {
	if got := answers[3].Get; len(got.KVs) > 0 {
		t, _ := parseTail(got)
		return got.KVs[0].CreateRevision, t.next
	}
	return 0, 1
}

// mergeEntry takes the claim and the retry of an item as they were read at a revision. The cache is
// locked.
func (ic *itemCache) mergeEntry(
	e *entry, revision int64, claims, retries map[string]gateway.KeyValue,
) {
	if e.seen <= revision {
		claim, there := claims[e.place]
		ic.saw(&e.keyState, revision, claim, there)
	}
	if e.noted <= revision {
		retry, there := retries[e.place]
		e.noted = revision
		ic.postpone(e, parseRetry(retry, !there))
	}
	ic.list(e)
}

// byPlace returns the keys that were read, by the place behind the prefix.
func byPlace(prefix string, read *gateway.GetResponse) map[string]gateway.KeyValue {
	kvs := make(map[string]gateway.KeyValue, len(read.KVs))
	for _, kv := range read.KVs {
		kvs[strings.TrimPrefix(kv.Key, prefix)] = kv
	}
	return kvs
}
