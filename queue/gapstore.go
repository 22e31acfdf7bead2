package queue

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// gapsDue reports whether the gaps are to be stored, and begins to count again. They are stored
// once in many items, and when nothing is left to receive.
func (ic *itemCache) gapsDue(idle bool) bool {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	after := ic.storeAfter
	if idle {
		after /= idleGaps
	}
	due := ic.synced && ic.removed >= after
	if due {
		ic.resetRemoved()
	}
	return due
}

// newGaps returns the gaps that the cache knows. The cache is complete before the horizon, as far
// as the items are numbered below allBefore.
func (ic *itemCache) newGaps() (list []gap) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if !ic.synced {
		return nil
	}
	numbers := map[int][]int64{}
	for place := range ic.entries {
		if p, ok := priorityOf(place); ok {
			numbers[p] = append(numbers[p], numberOf(place))
		}
	}
	for p, used := range ic.used {
		end := place(p, ic.allBefore)
		if !used || ic.horizon != "" && (ic.horizon <= place(p, 0) || len(ic.horizon) < placeLen) {
			continue
		}
		if ic.horizon != "" && ic.horizon < end {
			end = ic.horizon[:len(end)]
		}
		numbers[p] = append(numbers[p], numberOf(end))
		slices.Sort(numbers[p])
		from := int64(0)
		for _, n := range numbers[p] {
			if n > numberOf(end) {
				break
			}
			if n-from >= leastGap {
				list = append(list, gap{place(p, from), place(p, n)})
			}
			from = n + 1
		}
	}
	return list
}

// resetRemoved begins to count again. Consumers of several processes do so at different numbers, so
// that mostly one of them stores the gaps. The cache is locked.
func (ic *itemCache) resetRemoved() { ic.removed, ic.storeAfter = 0, gapEvery+rand.N(gapEvery) }

// storeGaps stores the gaps that are new in the background. The transaction compares that no item
// is in the new parts: an item that this process has wrongly forgotten must not be hidden from all
// others.
func (q *Queue) storeGaps(ic *itemCache, idle bool) {
	if !ic.gapsDue(idle) {
		return
	}
	q.s.Background(func(ctx context.Context) {
		c := q.s.Client()
		resp, err := c.Txn(ctx, gateway.Txn{Then: []gateway.Op{
			gateway.OpGet(q.keys.tail), gateway.OpGet(q.keys.gaps),
		}})
		if err != nil {
			return // the consumer that comes to so many items next does it
		}
		t, err := parseTail(resp.Responses[0].Get)
		if err != nil || t.mod == 0 {
			return
		}
		created := resp.Responses[0].Get.KVs[0].CreateRevision
		if !ic.sawTail(created, t) {
			return
		}
		old := gapsOf(resp.Responses[1].Get, resp.Responses[0].Get)
		old.tail = created
		list := ic.newGaps()
		if len(list) == 0 {
			return
		}
		now := old.with(list)
		still := []gateway.Cmp{gateway.CmpCreateRevision(q.keys.tail, gateway.Equal, created)}
		for _, r := range now.beyond(old) {
			still = append(still, gateway.CmpCreateRevision(
				q.keys.items+r.from, gateway.Equal, 0).Range(q.keys.items+r.to))
		}
		_, _ = c.Txn(ctx, gateway.Txn{
			If: still, Then: []gateway.Op{gateway.OpPut(q.keys.gaps, now.encode())},
		})
	})
}

// sawTail notes the number of the next item if the cache knows all items before it: each
// transaction that puts some moves the tail. It returns false if the tail is another than before.
func (ic *itemCache) sawTail(created int64, t tail) bool {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.tailCreated != created {
		ic.tailCreated, ic.allBefore = created, 0
		return false
	}
	if t.mod <= ic.seenAt {
		ic.allBefore = max(ic.allBefore, t.next)
	}
	return true
}
