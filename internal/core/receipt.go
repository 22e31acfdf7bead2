package core

import (
	"fmt"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// receipt is a key under the session's record. Each of the caller's transactions writes one, so
// that a later try can read whether an earlier one was applied, and which branch.
type receipt struct {
	s    *Session
	key  string
	mod  int64 // its mod_revision after the last known write
	busy bool
}

func (s *Session) takeReceipt() *receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.receipts {
		if !r.busy {
			r.busy = true
			return r
		}
	}
	r := &receipt{s: s, key: fmt.Sprintf("%s/w%d", s.record, len(s.receipts)), busy: true}
	s.receipts = append(s.receipts, r)
	return r
}

// free lets other transactions use the receipt.
func (r *receipt) free(mod int64) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.mod, r.busy = mod, false
}

// resolve frees the receipt in the state in which it was found.
func (r *receipt) resolve(o Outcome) { r.free(modOf(o.Responses[0].Get)) }

func (r *receipt) blockedFull(bool) {}

func (r *receipt) fellBack() {}

// A flat batch is applied as a whole, so one receipt shows whether it was: the first member's. The
// other members' receipts are neither compared nor put. Late copies are void without them, because
// of the epoch, see sendUntilAnswered.

// haveReceipts reports whether each member has a receipt.
func haveReceipts(members []*Pending) bool {
	return !slices.ContainsFunc(members, func(p *Pending) bool { return p.w.receipt == nil })
}

// wasApplied reports whether the answer to a batch with one receipt shows that an earlier copy,
// whose answer was lost, was applied. It sets the outcomes of the members then.
func (b *batch) wasApplied(out Outcome, inDoubt bool, err error) bool {
	if !b.oneReceipt || err != nil || inDoubt || out.Applied || !out.Repeated {
		return false
	}
	now := modOf(out.Responses[0].Get)
	if now <= b.members[0].w.receipt.mod {
		return false
	}
	for i, p := range b.members {
		p.out = Outcome{Applied: true, Revision: now, Repeated: true, otherReceipt: i > 0}
	}
	return true
}

func modOf(g *gateway.GetResponse) int64 {
	if len(g.KVs) == 0 {
		return 0
	}
	return g.KVs[0].ModRevision
}
