package queue

import (
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// stateOps is the number of operations of readState. The last one reads the tail.
const (
	stateOps = 4
	tailOp   = stateOps - 1
)

// readState reads what a cache knows besides the items. If the watch has reported all since an
// earlier read, only a delayed item that is due may be missing. Else the next one is looked for,
// but not far ahead: etcd passes all keys of a range, also with a limit.
func (ic *itemCache) readState(synced bool) []gateway.Op {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	now := time.Now().UnixMilli()
	from, end := int64(0), now+leastAhead
	if synced {
		from = ic.dueFrom
		end = max(now, from) + 1
	} else {
		ic.lookedTo = end
	}
	return []gateway.Op{
		gateway.OpGet(ic.keys.paused, gateway.KeysOnly()),
		gateway.OpGet(ic.keys.dueKey(from, ""), gateway.Range(ic.keys.dueKey(end, "")),
			gateway.Limit(duePage), gateway.KeysOnly()),
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

// beginDue takes the delayed items from the answers to the readState of a cache that was not
// synced. If there is none, it is time to look again at the end of the range. The cache is locked.
func (ic *itemCache) beginDue(answers []gateway.OpResponse) {
	delayed := answers[1].Get
	ic.due, ic.dueFrom = 0, 0
	if kvs := ic.keys.onlyDue(delayed.KVs); len(kvs) > 0 {
		ic.dueFrom, _ = ic.keys.dueOf(kvs[0].Key)
	} else if !delayed.More {
		ic.due, ic.dueFrom = ic.lookedTo, min(time.Now().UnixMilli(), ic.lookedTo)
	}
}

// tailOf returns what a read of the tail tells. One that is corrupt has no number.
func tailOf(got *gateway.GetResponse) (created, next int64) {
	if len(got.KVs) > 0 {
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
