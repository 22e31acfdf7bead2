package queue

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// A claim that was put again without a lease outlives its consumer, and the item would be claimed
// for ever. The cache sees such claims in what it reads and watches, and a consumer of the client
// deletes them.

// unleased notes a claim or slot that is under no lease, once for each time it was put, and wakes
// the consumers. The cache is locked.
func (ic *itemCache) unleased(k *keyState, claim gateway.KeyValue) {
	if claim.Lease != 0 || k.unleased >= claim.ModRevision {
		return
	}
	k.unleased = claim.ModRevision
	ic.noteUnowned(removal(claim))
}

// noteUnowned has a consumer apply the removal of a claim. It wakes all, because one of them may be
// about to leave. The cache is locked.
func (ic *itemCache) noteUnowned(removal gateway.Txn) {
	ic.unowned = append(ic.unowned, removal)
	ic.wakeAll()
}

// deleteUnleased deletes in the background the claims that the cache has noted. The watch reports
// the deletions.
func (q *Queue) deleteUnleased(ic *itemCache) {
	ic.mu.Lock()
	unowned := ic.unowned
	ic.unowned = nil
	ic.mu.Unlock()
	for _, t := range unowned {
		// After the session's end, a consumer of another session does it.
		done := context.AfterFunc(q.s.Context(), func() {
			ic.mu.Lock()
			defer ic.mu.Unlock()
			ic.noteUnowned(t)
		})
		q.removeUnleased(t, func() { done() })
	}
}

// removal deletes a key if it was not put again and is under no lease.
func removal(kv gateway.KeyValue) gateway.Txn {
	return gateway.Txn{
		If: []gateway.Cmp{
			gateway.CmpModRevision(kv.Key, gateway.Equal, kv.ModRevision),
			gateway.CmpLease(kv.Key, gateway.Equal, 0),
		},
		Then: []gateway.Op{gateway.OpDelete(kv.Key)},
	}
}

func (q *Queue) removeUnleased(t gateway.Txn, removed func()) {
	undo := func() []gateway.Op { return []gateway.Op{gateway.OpTxn(t)} }
	q.s.Compensate(core.Write{Compensation: undo, OnResolved: removed})
}
