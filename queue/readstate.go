package queue

import (
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

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
