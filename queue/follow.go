package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// sync returns when the feed is right at some revision; with fresh, at one that is not older than
// the call.
func (f *itemCache) sync(ctx context.Context, fresh bool) error {
	if err := f.lock(ctx); err != nil {
		return err
	}
	defer f.unlock()
	looked := false // for gaps
	for {
		l, synced, err := f.open()
		if err != nil || synced && !fresh {
			return err
		}
		select {
		case <-l.created:
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
		if !f.expect(l) {
			continue
		}
		if !synced && !looked {
			if err := f.readGaps(ctx); err != nil {
				return err
			}
			looked = true
		}
		resp, err := f.read(ctx, "", gateway.OpGet(f.keys.paused, gateway.KeysOnly()),
			f.readDue(synced), gateway.OpGet(f.keys.tail))
		if err == nil && !f.sawTailOf(resp) {
			fresh = true
			continue // without the gaps
		}
		f.merge(l, "", resp, err)
		if err != nil {
			return err
		}
		fresh = false
	}
}

// extend reads the items behind the horizon.
func (f *itemCache) extend(ctx context.Context) error {
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
	resp, err := f.read(ctx, from)
	f.merge(l, from, resp, err)
	return err
}

// open starts the watch if there is none.
func (f *itemCache) open() (_ *itemWatch, synced bool, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, false, f.err
	}
	if f.watch == nil {
		l := &itemWatch{created: make(chan struct{})}
		take := func(r gateway.WatchResponse) { f.take(l, r) }
		stop, err := f.id.c.WatchFunc(f.keys.claims, take, gateway.Range(until(f.keys.items)))
		if err != nil {
			return nil, false, err
		}
		l.stop = stop
		f.watch = l
	}
	return f.watch, f.synced, nil
}

// expect keeps the events that come from now on for the merge. It is false if the watch has ended.
func (f *itemCache) expect(l *itemWatch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.early = f.watch == l, nil
	return f.reading
}

// read reads a window of items from a place on, all claims behind it, and more. The claims are read
// with their short values, because etcd 3.7 omits the leases of a read without values.
func (f *itemCache) read(
	ctx context.Context, from string, more ...gateway.Op,
) (*gateway.TxnResponse, error) {
	f.mu.Lock()
	known := f.gaps
	f.mu.Unlock()
	var ops []gateway.Op
	items := known.between(f.keys.items, from)
	for _, r := range items {
		ops = append(ops, gateway.OpGet(r.from, gateway.Range(r.to),
			gateway.Limit(window), gateway.KeysOnly()))
	}
	for _, r := range known.between(f.keys.claims, from) {
		ops = append(ops, gateway.OpGet(r.from, gateway.Range(r.to)))
	}
	resp, err := f.id.c.Txn(ctx, gateway.Txn{Then: append(ops, more...)})
	if err != nil {
		return nil, err
	}
	n := len(items)
	resp.Responses = append([]gateway.OpResponse{
		joined(resp.Responses[:n]), joined(resp.Responses[n : 2*n]),
	}, resp.Responses[2*n:]...)
	return resp, nil
}

// joined returns the answers of neighbouring ranges as one, up to the first that is not complete.
func joined(answers []gateway.OpResponse) gateway.OpResponse {
	all := &gateway.GetResponse{}
	for _, a := range answers {
		all.KVs = append(all.KVs, a.Get.KVs...)
		if a.Get.More {
			all.More = true
			break
		}
	}
	return gateway.OpResponse{Get: all}
}

// readGaps reads the stored gaps for the first read of the items.
func (f *itemCache) readGaps(ctx context.Context) error {
	got, err := f.id.c.Get(ctx, f.keys.gaps)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gaps = parseGaps(got)
	return nil
}

// sawTailOf notes the tail that was read with the items. It returns false if the gaps belong to
// another tail.
func (f *itemCache) sawTailOf(resp *gateway.TxnResponse) bool {
	created, t := int64(0), tail{}
	if got := resp.Responses[len(resp.Responses)-1].Get; len(got.KVs) > 0 {
		created = got.KVs[0].CreateRevision
		t, _ = parseTail(got) // without a number nothing is stored
	}
	f.sawTail(created, t.next, resp.Revision)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.gaps.list) == 0 || f.gaps.tail == created {
		return true
	}
	f.gaps = gaps{}
	return false
}

// readDue finds the next delayed item. If the watch has reported all since an earlier read, only
// one that is due may be missing: etcd passes all keys of a range, also with a limit.
func (f *itemCache) readDue(synced bool) gateway.Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := until(f.keys.delayed)
	if synced {
		end = f.keys.dueKey(max(time.Now().UnixMilli(), f.dueFrom)+1, "")
	}
	return gateway.OpGet(f.keys.dueKey(f.dueFrom, ""), gateway.Range(end),
		gateway.Limit(duePage), gateway.KeysOnly())
}

// merge takes what was read after the watch stood, and then what has come since.
func (f *itemCache) merge(l *itemWatch, from string, resp *gateway.TxnResponse, err error) {
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
	f.floors = slices.DeleteFunc(f.floors, func(o floor) bool { return o.place >= from })
	f.floors = append(f.floors, floor{from, resp.Revision})
	claimed := make(map[string]gateway.KeyValue, len(claims.KVs))
	for _, kv := range claims.KVs {
		claimed[strings.TrimPrefix(kv.Key, f.keys.claims)] = kv
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
			claim, there := claimed[place]
			if e.seen, e.claim = resp.Revision, claim.CreateRevision; there {
				f.unleased(e, claim)
			}
		}
		f.list(e)
	}
	for place, e := range f.entries {
		if place >= from && !there[place] && (e.seen <= resp.Revision || !f.known(place)) {
			f.drop(e)
		}
	}
	if from == "" {
		f.seenAt = max(f.seenAt, resp.Revision)
		f.paused = len(resp.Responses[2].Get.KVs) > 0
		if !f.synced {
			f.due = 0
		}
		f.synced = true
		delayed := resp.Responses[3].Get
		if kvs := f.keys.onlyDue(delayed.KVs); len(kvs) > 0 {
			due, _ := f.keys.dueOf(kvs[0].Key)
			f.due = earlier(f.due, due)
		} else if delayed.More {
			f.due = max(f.dueFrom, 1) // the next one is behind keys of others, which moveDue skips
		}
	}
	for _, ev := range early {
		f.apply(ev)
	}
	f.dispatch()
}

// take runs in the goroutine that reads the client's stream.
func (f *itemCache) take(l *itemWatch, r gateway.WatchResponse) {
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
		f.seenAt = max(f.seenAt, ev.KV.ModRevision)
	}
	f.applied = r.Revision
	f.dispatch()
}

// broken: after a compaction the next consumer starts over; after anything else nobody can.
func (f *itemCache) broken(l *itemWatch, err error) {
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
	f.dueFrom, f.seenAt = 0, 0
	if !errors.Is(err, gateway.ErrCompacted) {
		f.err = err
		f.forget()
		if f.idle != nil {
			f.idle.Stop()
		}
	}
	f.wakeAll()
}
