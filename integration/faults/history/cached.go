package history

import (
	"cmp"
	"strconv"
	"strings"
)

// Cached checks a mutex whose sessions pass one key from hold to hold. Key is the identity of a
// hold in its ops, because the key in the line belongs to several. It is a value.
type Cached struct {
	Place string
	// Foreign begins the names of clients of another library. They may rely on the lock after they
	// have lost it, so a hold of theirs counts until it begins a write that is applied.
	Foreign string
}

// Uses are numbers of holds in a history.
type Uses struct {
	Early   int // pairs of holds that overlapped for a time that the conditions allow
	Passed  int // holds whose key was of another hold before
	Foreign int // holds of the other library that wrote
}

// Check adds the violations of the rules to rep.
func (k Cached) Check(rep *Report, c *Conditions, log Log, all []Op) (u Uses) {
	ops := Of(all, k.Place)
	l := Replay(rep, log, k.Place, Exclusive, nil)
	holds := c.Holds(rep, ops)
	from := map[string]int64{}
	for _, h := range holds {
		from[h.Key] = h.From
	}
	under := k.writes(rep, log, l, ops, from, &u)
	shown(rep, k.Place, ops)
	var order []stamped
	used := map[*Tenure]bool{}
	for _, h := range holds {
		t := under[h.Key]
		if t != nil {
			what := t.Key + " " + strconv.FormatInt(t.Fence, 10)
			order = append(order, stamped{what, h.Call, h.From, t.Fence})
		} else {
			t = l.latest(log, h)
		}
		if t == nil {
			rep.Addf("%s: %s was granted %s, and its session had no key that was admitted", k.Place,
				h.Client, h.Key)
			continue
		}
		if used[t] {
			u.Passed++
		}
		h.Fence, used[t] = t.Fence, true
		// A holder that unlocks without a request does not learn of a deletion before.
		h.Lost = h.Lost || c.Early && t.Left != 0 && log.At(t.Left) < h.To
	}
	realTime(rep, order)
	for _, m := range l.Members {
		rep.Addf("%s: %s has stood in the line since revision %d and no hold owns it", k.Place, m.Key,
			m.Fence)
	}
	k.trust(holds, ops)
	u.Early = overlaps(rep, k.Place, holds, l.gone(log), c.learnt(false))
	return u
}

// trust ends the holds of the other library where they are certain.
func (k Cached) trust(holds []*Hold, ops []Op) {
	wrote := map[string]int64{}
	for _, o := range ops {
		if o.Verb == Write && o.Outcome == OK {
			wrote[o.Key] = o.Call
		}
	}
	for _, h := range holds {
		if strings.HasPrefix(h.Client, k.Foreign) {
			h.To = max(h.From, wrote[h.Key])
		}
	}
}

// latest returns the last member of the session of a hold that was admitted before its end, or the
// first one if the log has that later.
func (l *Line) latest(log Log, h *Hold) *Tenure {
	var before, first *Tenure
	for _, t := range l.Tenures {
		if t.Lease != h.Lease || t.Admitted == 0 {
			continue
		}
		if first == nil || t.Fence < first.Fence {
			first = t
		}
		if log.At(t.Admitted) <= h.To && (before == nil || t.Fence > before.Fence) {
			before = t
		}
	}
	return cmp.Or(before, first)
}

// at returns the member that is admitted at a revision.
func (l *Line) at(rev int64) (found *Tenure) {
	for _, t := range l.Tenures {
		if t.Admitted != 0 && t.Admitted <= rev && (t.Left == 0 || rev < t.Left) {
			found = t
		}
	}
	return found
}

// writes checks that each write was made under a key of its session, and that no hold writes after
// the key was passed on. from has the starts of the holds. It returns the members under which the
// holds have written.
func (k Cached) writes(
	rep *Report, log Log, l *Line, ops []Op, from map[string]int64, u *Uses,
) map[string]*Tenure {
	by := map[string]*Op{}
	for i, o := range ops {
		if o.Verb == Write {
			by[o.Token()] = &ops[i]
		}
	}
	at, under := map[string]int64{}, map[string]*Tenure{}
	last := map[*Tenure]*Op{} // the last write under it
	for _, r := range log {
		for _, ev := range r.Events {
			if ev.Key != ValueKey(k.Place) || ev.Deleted {
				continue
			}
			number, token, _ := strings.Cut(ev.Value, " ")
			if at[token] != 0 {
				rep.Addf("%s: the write %q was applied at revision %d and again at %d", k.Place,
					ev.Value, at[token], r.Rev)
			}
			at[token] = r.Rev
			o, t := by[token], l.at(r.Rev)
			if o == nil {
				continue // answered reports it
			}
			fence, _ := strconv.ParseInt(number, 10, 64)
			switch was := under[o.Key]; {
			case t == nil || t.Lease != o.Lease || fence != 0 && fence != t.Fence:
				rep.Addf("%s: the write %q at revision %d was not under its hold: %+v", k.Place,
					ev.Value, r.Rev, t)
				continue
			case was != nil && was != t:
				rep.Addf("%s: the hold %s has written under %d and under %d", k.Place, o.Key,
					was.Fence, t.Fence)
			case last[t] != nil && from[o.Key] < from[last[t].Key]:
				rep.Addf("%s: the hold %s wrote at revision %d after its key was passed to %s",
					k.Place, o.Key, r.Rev, last[t].Key)
			}
			if before := last[t]; before != nil && before.Key != o.Key && before.Fence != 0 {
				rep.Addf("%s: the hold %s has read the fence %d, and its key was passed to %s",
					k.Place, before.Key, before.Fence, o.Key)
			}
			if strings.HasPrefix(o.Client, k.Foreign) {
				u.Foreign++
			}
			under[o.Key], last[t] = t, o
		}
	}
	answered(rep, k.Place, at, ops)
	return under
}

// shown adds to rep each fence that two holds have read.
func shown(rep *Report, place string, ops []Op) {
	by := map[int64]string{}
	for _, o := range ops {
		if o.Verb != Write || o.Fence == 0 {
			continue
		}
		if other := by[o.Fence]; other != "" && other != o.Key {
			rep.Addf("%s: the holds %s and %s have read the fence %d", place, other, o.Key, o.Fence)
		}
		by[o.Fence] = cmp.Or(by[o.Fence], o.Key)
	}
}
