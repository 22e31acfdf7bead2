package history

import (
	"strings"
	"time"
)

// Moves checks a lock whose holders detach it for the time For, so that others adopt it. It is a
// value.
type Moves struct {
	Place string
	For   time.Duration
}

// detached is the time of a detached lock in the log, which ends at a revision.
type detached struct {
	to      int64 // 0 if it has not ended
	deleted bool  // without an adoption
}

// Check adds the violations of the rules to rep. It returns the number of adoptions, and how many
// pairs of holds overlapped for a time that the conditions allow.
func (k Moves) Check(rep *Report, c *Conditions, log Log, all []Op) (early, adopted int) {
	ops := Of(all, k.Place)
	l := Replay(rep, log, k.Place, Exclusive, nil)
	owned, moves := owners(rep, l)
	holds := c.Holds(rep, ops)
	granted(rep, owned, holds)
	writes(rep, log, owned, ops, true)
	freed := map[incarnation]int64{}
	for _, o := range ops {
		if o.Verb == Free {
			freed[incarnation{o.Key, o.Fence}] = o.Call
		}
	}
	for _, o := range ops {
		at := incarnation{o.Key, o.Fence}
		d, known := moves[at]
		switch {
		case o.Verb == Adopt && o.Outcome == OK:
			adopted++
		case o.Verb != Detach || o.Outcome != OK:
		case !known:
			rep.Addf("%s: %s has detached %d, which the log does not show", k.Place, o.Client,
				o.Fence)
		case c.Early || !d.deleted || freed[at] != 0:
		case log.At(d.to) < o.Call+int64(k.For):
			rep.Addf("%s: the lock %d was detached for %v and free %s after that", k.Place, o.Fence,
				k.For, ms(log.At(d.to)-o.Call))
		}
	}
	return overlaps(rep, k.Place, holds, owned.gone(log), c.learnt(false)), adopted
}

// owners returns a line in which each owner of a lock counts as a member, and the times at which
// the lock of an owner was detached. The fence of an adopter is greater by one than the fence of
// the owner before.
func owners(rep *Report, l *Line) (*Line, map[incarnation]detached) {
	out := &Line{Name: l.Name, Tenures: map[int64]*Tenure{}, Members: l.Members}
	moves := map[incarnation]detached{}
	for _, t := range l.Tenures {
		own := &Tenure{Key: t.Key, Fence: t.Fence, Lease: t.Lease, Admitted: t.Admitted}
		add := func(left int64) {
			own.Left = left
			if out.Tenures[own.Fence] != nil {
				rep.Addf("%s: two owners have the fence %d", l.Name, own.Fence)
			}
			out.Tenures[own.Fence] = own
		}
		var away *detached
		for _, v := range t.Values[1:] {
			switch {
			case away == nil && strings.HasPrefix(v.Value, "detached:"):
				add(v.Rev)
				away = &detached{}
			case away != nil && strings.HasPrefix(v.Value, "held:"):
				away.to = v.Rev
				moves[incarnation{t.Key, own.Fence}] = *away
				away = nil
				own = &Tenure{Key: t.Key, Fence: own.Fence + 1, Lease: t.Lease, Admitted: v.Rev}
			}
		}
		if away == nil {
			add(t.Left)
			continue
		}
		away.to, away.deleted = t.Left, true
		moves[incarnation{t.Key, own.Fence}] = *away
	}
	return out, moves
}
