package history

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Learnt is the time within which a holder must notice that the server has revoked its lease early.
const Learnt = 500 * time.Millisecond

// Span is a time during which a fault affected the clients whose name has the prefix Client.
type Span struct {
	Client   string `json:"client"`
	From, To int64
}

// Conditions are the faults of a run that the guarantees name as an exception. It must not change
// during a check.
type Conditions struct {
	// Early means that a leader was paused, so the server may have revoked leases that were
	// renewed. A hold without a lock delay may then overlap with the next one until its holder
	// notices, for at most Learnt.
	Early bool
	// Frozen are the times at which processes were frozen. A frozen process notices nothing, so its
	// holds count as ended when it is frozen.
	Frozen []Span
	// Cut are the times at which clients were cut off from all members. This is not an exception.
	// Margins are measured then.
	Cut []Span
}

// cutOff reports whether a client was cut off from one time to another.
func (c *Conditions) cutOff(client string, from, to int64) bool {
	return slices.ContainsFunc(c.Cut, func(s Span) bool {
		return strings.HasPrefix(client, s.Client) && s.From <= from && to <= s.To
	})
}

// frozenAt reports whether a client noticed something while it was frozen or within Learnt after
// that, and returns when it was frozen. Frozen times with too little time between them to notice
// anything count as one, as far back as since. A returned time before since means that the client
// was already frozen then.
func (c *Conditions) frozenAt(client string, since, at int64) (from int64, ok bool) {
	for _, s := range slices.Backward(c.Frozen) {
		if !strings.HasPrefix(client, s.Client) || s.From > at || at > s.To+int64(Learnt) ||
			ok && s.From < since {
			continue
		}
		from, ok = s.From, true
		at = s.From
	}
	return from, ok
}

// Hold is the time during which a client holds, from the return of its call until it began to
// release the hold or lost it.
type Hold struct {
	Client   string
	Lease    int64
	Key      string
	Fence    int64
	Weight   int
	Shared   bool
	Call     int64 // the start of the lock call
	From, To int64
	Lost     bool
	// Asleep means that the client was frozen before it could see the grant, and lost the hold
	// before it woke up.
	Asleep bool
}

// incarnation is a key and the revision that created it, or the fence of a later owner.
type incarnation struct {
	key   string
	fence int64
}

// deletions returns the revisions at which the incarnations of the keys with a prefix were deleted.
// It is 0 for the ones that are left.
func deletions(log Log, prefix string) map[incarnation]int64 {
	out, created := map[incarnation]int64{}, map[string]int64{}
	for _, r := range log {
		for _, ev := range r.Events {
			switch {
			case !strings.HasPrefix(ev.Key, prefix):
			case ev.Deleted:
				out[incarnation{ev.Key, created[ev.Key]}] = r.Rev
			default:
				created[ev.Key] = ev.Create
				out[incarnation{ev.Key, ev.Create}] = 0
			}
		}
	}
	return out
}

// Holds returns the holds of one place, ordered by their start. It adds to rep each fence that was
// granted twice.
func (c *Conditions) Holds(rep *Report, ops []Op) []*Hold {
	byFence := map[incarnation]*Hold{}
	var all []*Hold
	for _, o := range ops {
		if !o.Grants() || o.Outcome != OK {
			continue
		}
		h := &Hold{
			Client: o.Client, Lease: o.Lease, Key: o.Key, Fence: o.Fence, Weight: o.Weight,
			Shared: o.Verb == RLock, Call: o.Call, From: o.Return, To: math.MaxInt64,
		}
		if other := byFence[incarnation{o.Key, o.Fence}]; other != nil {
			rep.Addf("%s: %s and %s were granted the fence %d", o.Place, other.Client, h.Client,
				h.Fence)
		}
		byFence[incarnation{o.Key, o.Fence}] = h
		all = append(all, h)
	}
	for _, o := range ops {
		h := byFence[incarnation{o.Key, o.Fence}]
		if h == nil {
			continue
		}
		switch o.Verb {
		case Lose:
			h.To, h.Lost = min(h.To, o.Call), true
			if from, ok := c.frozenAt(o.Client, h.From, o.Call); ok {
				h.To, h.Asleep = max(h.From, min(h.To, from)), from <= h.From
			}
		case Unlock, Ack, Nack, Detach:
			h.To = min(h.To, o.Call)
			if from, ok := c.frozenAt(o.Client, h.From, o.Call); ok && o.Outcome == Refused {
				h.To, h.Lost, h.Asleep = max(h.From, min(h.To, from)), true, from <= h.From
			}
		}
	}
	slices.SortFunc(all, func(a, b *Hold) int { return cmp64(a.From, b.From) })
	return all
}

// granted checks each grant against the line: the member was admitted, and its fence is larger than
// the fence of every call that returned before.
func granted(rep *Report, l *Line, holds []*Hold) {
	var order []stamped
	for _, h := range holds {
		t := l.Tenures[h.Fence]
		switch {
		case t == nil || t.Key != h.Key:
			rep.Addf("%s: %s was granted %s at %d, which the log does not have", l.Name, h.Client,
				h.Key, h.Fence)
			continue
		case t.Admitted == 0:
			rep.Addf("%s: %s was granted %s at %d, which was never admitted", l.Name, h.Client,
				h.Key, h.Fence)
		}
		order = append(order, stamped{h.Client + " " + h.Key, h.Call, h.From, h.Fence})
	}
	realTime(rep, order)
	for _, m := range l.Members {
		rep.Addf("%s: %s has stood in the line since revision %d and nobody owns it", l.Name, m.Key,
			m.Fence)
	}
}

// ghosts checks that the client of each admitted member got its grant, unless its session was lost
// or its call failed.
func ghosts(rep *Report, l *Line, ops []Op, holds []*Hold, lost map[int64]bool) {
	told := map[int64]bool{}
	for _, h := range holds {
		told[h.Fence] = true
	}
	gaveUp := map[int64]bool{}
	for _, o := range ops {
		if o.Place == l.Name && (o.Verb == Lock || o.Verb == RLock) && o.Outcome != OK {
			gaveUp[o.Lease] = true
		}
	}
	for _, t := range l.Tenures {
		if t.Admitted != 0 && !told[t.Fence] && !lost[t.Lease] && !gaveUp[t.Lease] {
			rep.Addf("%s: %s was admitted at %d, and nobody was told", l.Name, t.Key, t.Admitted)
		}
	}
}

// overlaps checks by the clock that no two holds that exclude each other overlap. gone returns when
// the server deleted the key of a hold, or 0. learnt is how long after that deletion a lost hold
// may last; 0 allows none. It returns the number of allowed overlaps.
func overlaps(
	rep *Report, place string, holds []*Hold, gone func(*Hold) int64, learnt time.Duration,
) (found int) {
	lostEarly := func(h *Hold) bool {
		at := gone(h)
		return learnt > 0 && h.Lost && at != 0 && h.To <= at+int64(learnt)
	}
	// The grant of a hold may arrive after the server has deleted its key and admitted the next
	// one. The holder may give such a hold back before it learns of the loss.
	grantedLate := func(h, next *Hold) bool {
		at := gone(h)
		return learnt > 0 && at != 0 && h.Fence < next.Fence &&
			at <= next.From && h.To <= at+int64(learnt)
	}
	var open []*Hold
	for _, h := range holds {
		open = slices.DeleteFunc(open, func(o *Hold) bool { return o.To <= h.From })
		for _, o := range open {
			if o.Shared && h.Shared || o.To <= o.From || h.To <= h.From {
				continue
			}
			if lostEarly(o) || grantedLate(h, o) {
				found++
				continue
			}
			rep.Addf("%s: %s held %d until %s after %s had got %d", place, o.Client, o.Fence,
				ms(o.To-h.From), h.Client, h.Fence)
		}
		open = append(open, h)
	}
	return found
}
