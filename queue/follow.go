package queue

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// sync returns when the cache is right at some revision; with fresh, at one that is not older than
// the call.
func (ic *itemCache) sync(ctx context.Context, fresh bool) error {
	if err := ic.lock(ctx); err != nil {
		return err
	}
	defer ic.unlock()
	looked, end := false, "" // for gaps, and where the first read ends
	for {
		l, synced, err := ic.open()
		if err != nil || synced && !fresh {
			return err
		}
		select {
		case <-l.created:
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
		if synced {
			done, err := ic.refresh(ctx, l)
			if done || err != nil {
				return err
			}
		}
		if !looked {
			if end, err = ic.findFirst(ctx); err != nil {
				return err
			}
			looked = true
		}
		if !ic.expect(l) {
			continue
		}
		resp, err := ic.read(ctx, "", end, ic.readState(synced)...)
		if err == nil {
			if created, _ := tailOf(resp.Responses[3:][tailOp].Get); !ic.gapsFit(created) {
				fresh = true
				continue // without the gaps
			}
		}
		ic.merge(l, "", end, resp, err)
		if err != nil {
			return err
		}
		fresh = false
	}
}

// extend reads the items behind the horizon.
func (ic *itemCache) extend(ctx context.Context) error {
	defer ic.pass()
	if err := ic.lock(ctx); err != nil {
		return err
	}
	defer ic.unlock()
	ic.mu.Lock()
	l, from := ic.watch, ic.horizon
	needed := ic.synced && from != "" && len(ic.avail) == 0
	ic.mu.Unlock()
	if !needed || !ic.expect(l) {
		return nil
	}
	end := ""
	if p, ok := priorityOf(from[:min(len(from), placeLen)]); ok {
		if end = place(p, numberOf(from[:placeLen])+reach); len(end) > placeLen {
			end = "" // behind a foreign key
		}
	}
	resp, err := ic.readFrom(ctx, from, end)
	if err == nil && end != "" && len(resp.Responses[0].Get.KVs) == 0 {
		ic.mu.Lock()
		known := ic.gaps
		ic.mu.Unlock()
		if end, err = findItems(ctx, ic.id.c, &ic.keys, known, from); err == nil {
			resp, err = ic.readFrom(ctx, from, end)
		}
	}
	if err == nil && !resp.Responses[0].Get.More && aheadOfTail(end, resp.Responses[3].Get) {
		end = behindPriority(end)
		resp, err = ic.readFrom(ctx, from, end)
	}
	ic.merge(l, from, end, resp, err)
	return err
}

// aheadOfTail reports whether new items can be put before the place, with its priority. A horizon
// there would be wrong: see group.go.
func aheadOfTail(end string, tail *gateway.GetResponse) bool {
	_, next := tailOf(tail)
	return end != "" && numberOf(end) > next
}

// behindPriority returns the first place behind the priority of a place, or none.
func behindPriority(at string) string {
	if p, _ := priorityOf(at); p > 0 {
		return place(p-1, 0)
	}
	return ""
}

// open starts the watch if there is none.
func (ic *itemCache) open() (_ *itemWatch, synced bool, _ error) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.err != nil {
		return nil, false, ic.err
	}
	if ic.watch == nil {
		l := &itemWatch{created: make(chan struct{})}
		take := func(r gateway.WatchResponse) { ic.take(l, r) }
		stop, err := ic.id.c.WatchFunc(ic.keys.claims, take, gateway.Range(until(ic.keys.items)))
		if err != nil {
			return nil, false, err
		}
		l.stop = stop
		ic.watch = l
	}
	return ic.watch, ic.synced, nil
}

// expect keeps the events that come from now on for the merge. It is false if the watch has ended.
func (ic *itemCache) expect(l *itemWatch) bool {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.reading, ic.early = ic.watch == l, nil
	return ic.reading
}

// merge takes what was read after the watch stood, from a place up to the end, or all behind it if
// end is empty, and then what has come since.
func (ic *itemCache) merge(
	l *itemWatch, from, end string, resp *gateway.TxnResponse, err error,
) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	early := ic.early
	ic.reading, ic.early = false, nil
	if ic.watch != l || err != nil || from != "" && from != ic.horizon { // it has forgotten some
		return
	}
	items, claims, retries := resp.Responses[0].Get, resp.Responses[1].Get, resp.Responses[2].Get
	ic.horizon = end
	if n := len(items.KVs); items.More && n > 0 {
		ic.horizon = strings.TrimPrefix(items.KVs[n-1].Key, ic.keys.items) + "\x00"
	}
	// An event as old as that cannot come any more.
	for len(ic.floors) > 1 && ic.floors[1].revision <= ic.applied {
		ic.floors = slices.Delete(ic.floors, 0, 1)
		ic.floors[0].place = ""
	}
	ic.floors = slices.DeleteFunc(ic.floors, func(o floor) bool { return o.place >= from })
	ic.floors = append(ic.floors, floor{from, resp.Revision})
	claimed, until := byPlace(ic.keys.claims, claims), byPlace(ic.keys.retries, retries)
	there := make(map[string]bool, len(items.KVs))
	for _, kv := range items.KVs {
		place, group := parseItemKey(strings.TrimPrefix(kv.Key, ic.keys.items))
		there[place] = true
		e := ic.entries[place]
		if e == nil {
			e = ic.add(place, group, kv.CreateRevision)
		}
		ic.mergeEntry(e, resp.Revision, claimed, until)
	}
	for place, e := range ic.entries {
		if place >= from && !there[place] && (e.seen <= resp.Revision || !ic.known(place)) {
			ic.drop(e)
		}
	}
	if from == "" {
		ic.seenAt = max(ic.seenAt, resp.Revision)
		state := resp.Responses[3:]
		ic.tailCreated, ic.allBefore = tailOf(state[tailOp].Get)
		if !ic.synced {
			ic.beginDue(state)
		}
		ic.synced = true
		ic.mergeState(state, resp.Revision)
	}
	for _, ev := range early {
		ic.apply(ev)
	}
	ic.dispatch()
}

// take runs in the goroutine that reads the client's stream.
func (ic *itemCache) take(l *itemWatch, r gateway.WatchResponse) {
	if r.Err != nil {
		ic.broken(l, r.Err)
		return
	}
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.watch != l {
		return
	}
	if r.Created {
		close(l.created)
		return
	}
	if ic.reading {
		ic.early = append(ic.early, r.Events...)
	}
	if !ic.synced {
		return // before the read, which will have it
	}
	for _, ev := range r.Events {
		ic.apply(ev)
		ic.seenAt = max(ic.seenAt, ev.KV.ModRevision)
	}
	ic.applied = r.Revision
	ic.dispatch()
}

// broken: after a compaction the next consumer starts over; after anything else nobody can.
func (ic *itemCache) broken(l *itemWatch, err error) {
	caches.Lock()
	defer caches.Unlock()
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.watch != l {
		return
	}
	select {
	case <-l.created:
	default:
		close(l.created)
	}
	ic.watch, ic.synced, ic.reading, ic.early = nil, false, false, nil
	ic.entries, ic.avail, ic.floors, ic.horizon = map[string]*entry{}, nil, nil, ""
	ic.held, ic.dueFrom, ic.seenAt, ic.refreshed = map[*entry]struct{}{}, 0, 0, 0
	ic.groups, ic.postponed, ic.resume, ic.slots = nil, nil, 0, nil
	if !errors.Is(err, gateway.ErrCompacted) {
		ic.err = err
		ic.forget()
		if ic.idle != nil {
			ic.idle.Stop()
		}
	}
	ic.wakeAll()
}
