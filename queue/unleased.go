package queue

import (
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// A claim that was put again without a lease outlives its consumer, and the item would be claimed for ever. The feed sees
// such claims in what it reads and watches, and a consumer of the client deletes them.

// unleased notes a claim that is under no lease, once for each time it was put, and wakes a consumer. The feed is locked.
func (f *itemCache) unleased(e *entry, claim gateway.KeyValue) {
	if claim.Lease != 0 || e.unleased >= claim.ModRevision {
		return
	}
	e.unleased = claim.ModRevision
	f.unowned = append(f.unowned, gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpModRevision(claim.Key, gateway.Equal, claim.ModRevision)},
		Then: []gateway.Op{gateway.OpDelete(claim.Key)},
	})
	if len(f.waiters) > 0 {
		f.waiters[0].given <- nil
		f.waiters = f.waiters[1:]
	}
}

// freeUnleased deletes in the background the claims that the feed has noted. The watch reports the deletions.
func (q *Queue) freeUnleased(f *itemCache) {
	f.mu.Lock()
	unowned := f.unowned
	f.unowned = nil
	f.mu.Unlock()
	for _, t := range unowned {
		q.s.Compensate(core.Write{Compensation: func() []gateway.Op { return []gateway.Op{gateway.OpTxn(t)} }})
	}
}
