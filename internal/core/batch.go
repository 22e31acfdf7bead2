package core

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// batch is the writes of one transaction. Each of them is applied or not by itself.
//
// Most of the cost of a request is its JSON, and nested transactions are most of that JSON. So a
// batch is sent flat: one transaction without nesting, with one range for neighbouring keys. A flat
// batch is applied as a whole or not at all. If one compare does not hold, for example because
// another process was faster, the batch is sent again, with a nested transaction for each write.
type batch struct {
	members []*Pending
	ctx     context.Context //nolint:containedctx // of the request
	cancel  context.CancelCauseFunc
	callers int   // that have not left; Session.mu guards it
	err     error // of the request

	oneReceipt bool // the first member's receipt is for all of them, see receipt.go
}

// size returns the batch's share of a transaction of [MaxOps].
func (b *batch) size() (n int) {
	for _, p := range b.members {
		n += p.w.size()
	}
	return n
}

// operations returns the number of operations of all members.
func (b *batch) operations() (n int) {
	for _, p := range b.members {
		n += len(p.w.Then)
	}
	return n
}

// sendBatch sends a batch until there is an answer, and sets the outcomes of its members.
func (s *Session) sendBatch(b *batch) {
	if len(b.members) == 1 {
		p := b.members[0]
		before := p.out.Repeated
		p.out, p.inDoubt, p.err = s.sendUntilAnswered(b.ctx, p.w, p.inDoubt)
		p.out.Repeated = p.out.Repeated || before
		b.err = p.err
		return
	}
	b.oneReceipt = haveReceipts(b.members)
	all, flat := s.flat(b)
	if !flat {
		all, b.oneReceipt = nested(b.members), false
	}
	out, inDoubt, err := s.sendUntilAnswered(b.ctx, all, false)
	if b.wasApplied(out, inDoubt, err) {
		return
	}
	if flat && len(all.If) > 0 && refused(out, inDoubt, err) {
		flat, s.scheduler.nest = false, nestAfter
		b.oneReceipt = false
		before := out.Repeated
		out, inDoubt, err = s.sendUntilAnswered(b.ctx, nested(b.members), false)
		out.Repeated = out.Repeated || before
	}
	b.err = err
	for i, p := range b.members {
		p.err, p.inDoubt = err, inDoubt
		p.out = Outcome{Repeated: out.Repeated, otherReceipt: i > 0 && b.oneReceipt}
		switch {
		case err != nil:
		case flat:
			p.out.Applied, p.out.Revision = true, out.Revision
			out.Responses = p.readFlat(out.Responses)
		default:
			own := out.Responses[i].Txn
			p.out.Applied, p.out.Revision = own.Succeeded, out.Revision
			p.out.Responses = own.Responses
		}
	}
}

// flat merges writes into one. ok is false if that write would be too large, or is not likely to be
// applied.
func (s *Session) flat(b *batch) (all Write, ok bool) {
	members := b.members
	if members[0].w.Weight > 0 && s.scheduler.nest > 0 {
		s.scheduler.nest--
		return Write{}, false
	}
	var deletes, absent []string
	all.Guarded = guarded(members)
	all.Then = make([]gateway.Op, 0, b.operations())
	if b.oneReceipt {
		all.Else = members[0].w.Else[:1]
	}
	for i, p := range members {
		conds, ops := p.w.If, p.w.Then[len(p.w.Deletes):]
		if b.oneReceipt && i > 0 {
			conds, ops = conds[1:], ops[1:]
		}
		all.If = append(all.If, conds...)
		all.Then = append(all.Then, ops...)
		deletes = append(deletes, p.w.Deletes...)
		absent = append(absent, p.w.Absent...)
	}
	for first, end := range runs(absent) {
		all.If = append(all.If, gateway.CmpCreateRevision(first, gateway.Equal, 0).Range(end))
	}
	for first, end := range runs(deletes) {
		all.Then = append(all.Then, gateway.OpDelete(first, gateway.Range(end)))
	}
	return all, max(len(all.If), len(all.Then)) <= MaxOps
}

// nested returns a write with a nested transaction for each write.
func nested(members []*Pending) (all Write) {
	all.Guarded = guarded(members)
	for _, p := range members {
		own := gateway.Txn{If: p.w.conditions(), Then: p.w.Then, Else: p.w.Else}
		all.Then = append(all.Then, gateway.OpTxn(own))
	}
	return all
}

func guarded(members []*Pending) bool {
	return !slices.ContainsFunc(members, func(p *Pending) bool { return !p.w.Guarded })
}

// conditions returns all compares of a write.
func (w *Write) conditions() []gateway.Cmp {
	if len(w.Absent) == 0 {
		return w.If
	}
	all := slices.Clip(w.If)
	for _, key := range w.Absent {
		all = append(all, gateway.CmpCreateRevision(key, gateway.Equal, 0))
	}
	return all
}

// sendsAlone reports whether a member of a batch that was rejected is sent again, alone. It is not
// if an earlier copy of the batch may have been applied and the member's receipt would not show it.
func (b *batch) sendsAlone(p *Pending) bool {
	return len(b.members) > 1 && rejected(p.err) && b.ctx.Err() == nil &&
		(!b.oneReceipt || !p.out.Repeated)
}

// refused reports whether a flat batch was rejected as such, and no copy of it can be applied.
func refused(out Outcome, inDoubt bool, err error) bool {
	return !inDoubt &&
		(err == nil && !out.Applied || errors.Is(err, gateway.ErrInvalid) && !out.Repeated)
}

var deletedOne = gateway.OpResponse{Delete: &gateway.DeleteResponse{Deleted: 1}}

// readFlat takes the member's responses from the responses to a flat batch, and returns the rest.
func (p *Pending) readFlat(all []gateway.OpResponse) (rest []gateway.OpResponse) {
	n := len(p.w.Then) - len(p.w.Deletes)
	if p.out.otherReceipt {
		n--
	}
	p.out.Responses = all[:n:n]
	if len(p.w.Deletes) > 0 {
		own := make([]gateway.OpResponse, 0, len(p.w.Then))
		for range p.w.Deletes {
			own = append(own, deletedOne)
		}
		p.out.Responses = append(own, p.out.Responses...)
	}
	return all[n:]
}

// runs yields, for each run of neighbours among keys that end in numbers, its first key and the end
// of its range.
func runs(keys []string) iter.Seq2[string, string] {
	slices.Sort(keys)
	return func(yield func(first, end string) bool) {
		for n := 0; len(keys) > 0; keys = keys[n:] {
			for n = 1; n < len(keys) && neighbours(keys[n-1], keys[n]); n++ {
			}
			if !yield(keys[0], keys[n-1]+"\x00") {
				return
			}
		}
	}
}

// neighbours reports whether b is a with the number at the end increased by one, and as long as a.
func neighbours(a, b string) bool {
	i := len(a) - 1
	for i >= 0 && a[i] == '9' {
		i--
	}
	return i >= 0 && a[i] >= '0' && a[i] < '9' &&
		len(b) == len(a) && b[:i] == a[:i] && b[i] == a[i]+1 && strings.Trim(b[i+1:], "0") == ""
}
