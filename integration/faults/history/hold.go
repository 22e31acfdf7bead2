package history

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Learnt is within what time a holder must know that the server has taken its lease early.
const Learnt = 500 * time.Millisecond

// Span is a stretch of time in which something was done to the clients with a prefix.
type Span struct {
	Client   string `json:"client"`
	From, To int64
}

// Conditions are what a run did that the guarantees name as an exception.
type Conditions struct {
	// Early: a leader was paused, so leases may have been revoked that were renewed. A hold without a lock delay may then
	// overlap with the next one until its holder learns that, for no longer than Learnt.
	Early bool
	// Frozen processes cannot learn anything. What they held ends, as far as time goes, when they are frozen.
	Frozen []Span
	// Cut off from all members are no exception; they are where margins are measured.
	Cut []Span
}

// cutOff tells whether a client was cut off from one moment to another.
func (c *Conditions) cutOff(client string, from, to int64) bool {
	return slices.ContainsFunc(c.Cut, func(s Span) bool {
		return strings.HasPrefix(client, s.Client) && s.From <= from && to <= s.To
	})
}

// frozenAt tells whether a moment at which a client learnt something lies in, or just behind, a time it was frozen in, and
// when that began. Times that follow each other too closely to learn anything in between count as one, as far back as since;
// a beginning before since says that the client was frozen even then.
func (c *Conditions) frozenAt(client string, since, at int64) (from int64, ok bool) {
	for _, s := range slices.Backward(c.Frozen) {
		if !strings.HasPrefix(client, s.Client) || s.From > at || at > s.To+int64(Learnt) || ok && s.From < since {
			continue
		}
		from, ok = s.From, true
		at = s.From
	}
	return from, ok
}

// Hold is what a client held: from when it was told so until it gave it back or lost it.
type Hold struct {
	Client   string
	Key      string
	Fence    int64
	Weight   int
	Shared   bool
	Call     int64 // of the lock
	From, To int64
	Lost     bool
	Asleep   bool // its client was frozen before it could see the grant, and lost the hold meanwhile
}

// Holds puts the holds of a place together, in the order of their beginning.
func (c *Conditions) Holds(rep *Report, ops []Op) []*Hold {
	type incarnation struct {
		key   string
		fence int64
	}
	byFence := map[incarnation]*Hold{}
	var all []*Hold
	for _, o := range ops {
		if (o.Verb != Lock && o.Verb != RLock && o.Verb != Receive) || o.Outcome != OK {
			continue
		}
		h := &Hold{
			Client: o.Client, Key: o.Key, Fence: o.Fence, Weight: o.Weight, Shared: o.Verb == RLock,
			Call: o.Call, From: o.Return, To: math.MaxInt64,
		}
		if other := byFence[incarnation{o.Key, o.Fence}]; other != nil {
			rep.Addf("%s: %s and %s were granted the fence %d", o.Place, other.Client, h.Client, h.Fence)
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
		case Unlock, Ack, Nack:
			h.To = min(h.To, o.Call)
			if from, ok := c.frozenAt(o.Client, h.From, o.Call); ok && o.Outcome == Refused {
				h.To, h.Lost, h.Asleep = max(h.From, min(h.To, from)), true, from <= h.From
			}
		}
	}
	slices.SortFunc(all, func(a, b *Hold) int { return cmp64(a.From, b.From) })
	return all
}

// granted checks the grants against the line: each was admitted, none is older than one that a client had before.
func granted(rep *Report, l *Line, holds []*Hold) {
	var order []stamped
	for _, h := range holds {
		t := l.Tenures[h.Fence]
		switch {
		case t == nil || t.Key != h.Key:
			rep.Addf("%s: %s was granted %s at %d, which the log does not have", l.Name, h.Client, h.Key, h.Fence)
			continue
		case t.Admitted == 0:
			rep.Addf("%s: %s was granted %s at %d, which was never admitted", l.Name, h.Client, h.Key, h.Fence)
		}
		order = append(order, stamped{h.Client + " " + h.Key, h.Call, h.From, h.Fence})
	}
	realTime(rep, order)
	for _, m := range l.Members {
		rep.Addf("%s: %s has stood in the line since revision %d and nobody owns it", l.Name, m.Key, m.Fence)
	}
}

// ghosts checks that everybody who was admitted was told so, or has a reason why not: its session was lost, or its client
// gave up.
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

// overlaps checks by the clock that no two holds of which one excludes the other lasted at the same time. gone tells when
// the server deleted the key of a hold, 0 if it did not. learnt is how long after that an early loss may show, 0 if it may
// not.
func overlaps(rep *Report, place string, holds []*Hold, gone func(*Hold) int64, learnt time.Duration) (found int) {
	var open []*Hold
	for _, h := range holds {
		open = slices.DeleteFunc(open, func(o *Hold) bool { return o.To <= h.From })
		for _, o := range open {
			if o.Shared && h.Shared || o.To <= o.From || h.To <= h.From {
				continue
			}
			if at := gone(o); learnt > 0 && o.Lost && at != 0 && o.To <= at+int64(learnt) {
				found++
				continue
			}
			rep.Addf("%s: %s held %d until %s after %s had got %d", place, o.Client, o.Fence, ms(o.To-h.From), h.Client, h.Fence)
		}
		open = append(open, h)
	}
	return found
}
