package queue

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// A queue with a MaxInFlight of n has the slots 0 to n-1. The transaction that claims an item also
// puts a slot, under the same lease, if there is none. The transaction that ends the claim deletes
// it.

// noSlot is the slot of a claim without MaxInFlight.
const noSlot = -1

func (k *keys) slotKey(slot int) string { return fmt.Sprintf("%s%04d", k.slots, slot) }

// full reports whether no slot is free.
func (ic *itemCache) full() bool { return ic.id.maxInFlight > 0 && ic.freeSlot() == noSlot }

// freeSlot returns a slot that is free as far as is known. Consumers begin to look at different
// slots, so that they seldom choose the same.
func (ic *itemCache) freeSlot() int {
	n := ic.id.maxInFlight
	if n == 0 {
		return noSlot
	}
	if ic.slots == nil {
		ic.slots = make([]keyState, n)
	}
	first := rand.N(n)
	for i := range n {
		if slot := (first + i) % n; ic.slots[slot].free() {
			return slot
		}
	}
	return noSlot
}

// takeSlot chooses the slot of a claim.
func (ic *itemCache) takeSlot() int {
	slot := ic.freeSlot()
	if slot != noSlot {
		ic.slots[slot].taken = true
	}
	return slot
}

// slotOf returns the slot of a key, or nil.
func (ic *itemCache) slotOf(key string) *keyState {
	n, err := strconv.Atoi(strings.TrimPrefix(key, ic.keys.slots))
	if err != nil || n < 0 || n >= len(ic.slots) || ic.keys.slotKey(n) != key {
		return nil
	}
	return &ic.slots[n]
}

// applySlot takes an event of a slot's key.
func (ic *itemCache) applySlot(ev gateway.Event) {
	if s := ic.slotOf(ev.KV.Key); s != nil && ev.KV.ModRevision > s.seen {
		ic.saw(s, ev.KV.ModRevision, ev.KV, !ev.Deleted)
	}
}

// readSlots takes all slots at a revision.
func (ic *itemCache) readSlots(kvs []gateway.KeyValue, revision int64) {
	there := map[*keyState]gateway.KeyValue{}
	ic.freeSlot() // makes them
	for _, kv := range kvs {
		if s := ic.slotOf(kv.Key); s != nil {
			there[s] = kv
		}
	}
	for i := range ic.slots {
		if s := &ic.slots[i]; s.seen <= revision {
			kv, found := there[s]
			ic.saw(s, revision, kv, found)
		}
	}
}

// slotAnswered takes the answer to a claim, which may be that there is none.
func (ic *itemCache) slotAnswered(c *claim) {
	if c.slot == noSlot {
		return
	}
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if c.slot >= len(ic.slots) {
		return // read again since
	}
	s := &ic.slots[c.slot]
	s.taken, s.stale = false, max(s.stale, c.slotOther)
	if c.fence > s.seen {
		s.seen, s.claim = c.fence, c.fence
	}
}

// slotOps delete the slot of the message's claim.
func (m *Message) slotOps() []gateway.Op {
	if m.slot == noSlot {
		return nil
	}
	return []gateway.Op{gateway.OpDelete(m.q.keys.slotKey(m.slot))}
}

// abandonSlot deletes the slot of a claim that another client has deleted.
func (m *Message) abandonSlot() {
	if m.slot == noSlot || m.q.s.Err() != nil {
		return
	}
	free := []gateway.Op{m.q.freeSlotOf(m.slot, m.tag)}
	m.q.s.Compensate(core.Write{Compensation: func() []gateway.Op { return free }})
}

// freeSlotOf deletes a slot if it is that of the claim with the tag.
func (q *Queue) freeSlotOf(slot int, tag string) gateway.Op {
	key := q.keys.slotKey(slot)
	return gateway.OpTxn(gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpValue(key, gateway.Equal, []byte(tag))},
		Then: []gateway.Op{gateway.OpDelete(key)},
	})
}
