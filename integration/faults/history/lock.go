package history

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Of returns the ops of a place.
func Of(ops []Op, place string) []Op {
	var out []Op
	for _, o := range ops {
		if o.Place == place {
			out = append(out, o)
		}
	}
	return out
}

// LostSessions returns the leases of the sessions that were lost.
func LostSessions(ops []Op) map[int64]bool {
	lost := map[int64]bool{}
	for _, o := range ops {
		if o.Verb == SessionLost {
			lost[o.Lease] = true
		}
	}
	return lost
}

// ValueKey returns the key that the holders of a place write under their guard.
func ValueKey(place string) string { return place + ".value" }

// Guarded returns the value of a guarded write: the fence of its hold and the token of its op.
func Guarded(fence int64, token string) string { return fmt.Sprintf("%d %s", fence, token) }

// Locks checks a mutex or a reader-writer lock. Delayed means that the lock has a lock delay, so
// that holds never overlap. It is a value.
type Locks struct {
	Place   string
	Shared  bool
	Delayed bool
}

// Check adds the violations of the lock's rules to rep. It returns how many pairs of holds
// overlapped for a time that the conditions allow.
func (k Locks) Check(rep *Report, c *Conditions, log Log, all []Op) (early int) {
	ops := Of(all, k.Place)
	rule := Exclusive
	if k.Shared {
		rule = Shared
	}
	l := Replay(rep, log, k.Place, rule, nil)
	holds := c.Holds(rep, ops)
	granted(rep, l, holds)
	ghosts(rep, l, ops, holds, LostSessions(all))
	writes(rep, log, l, ops, true)
	for _, h := range holds {
		if t := l.Tenures[h.Fence]; t != nil && h.Shared != (t.Value == "shared") {
			rep.Addf("%s: %s was granted %d, shared: %v, which is not what the log says", k.Place,
				h.Client, h.Fence, h.Shared)
		}
	}
	return overlaps(rep, k.Place, holds, l.gone(log), c.learnt(k.Delayed))
}

// gone returns a function that returns when the server deleted the key of a hold.
func (l *Line) gone(log Log) func(*Hold) int64 {
	return func(h *Hold) int64 {
		if t := l.Tenures[h.Fence]; t != nil && t.Left != 0 {
			return log.At(t.Left)
		}
		return 0
	}
}

// learnt returns how long holds may overlap.
func (c *Conditions) learnt(delayed bool) time.Duration {
	if c.Early && !delayed {
		return Learnt
	}
	return 0
}

// writes checks that the guarded writes in the log match the answers of the clients. Each write
// must be made while its member is admitted and, if ordered, in the order of the fences.
func writes(rep *Report, log Log, l *Line, ops []Op, ordered bool) {
	at := map[string]int64{} // by token
	last := int64(0)
	for _, r := range log {
		for _, ev := range r.Events {
			if ev.Key != ValueKey(l.Name) || ev.Deleted {
				continue
			}
			number, token, _ := strings.Cut(ev.Value, " ")
			fence, _ := strconv.ParseInt(number, 10, 64)
			if at[token] != 0 {
				rep.Addf("%s: the write %q was applied at revision %d and again at %d", l.Name,
					ev.Value, at[token], r.Rev)
			}
			at[token] = r.Rev
			t := l.Tenures[fence]
			if t == nil || t.Admitted == 0 || r.Rev < t.Admitted || t.Left != 0 && r.Rev >= t.Left {
				rep.Addf("%s: the write %q at revision %d was not under its hold: %+v", l.Name,
					ev.Value, r.Rev, t)
			}
			if ordered && fence < last {
				rep.Addf("%s: revision %d was written under %d after %d", l.Name, r.Rev, fence,
					last)
			}
			last = max(last, fence)
		}
	}
	answered(rep, l.Name, at, ops)
}

// answered checks that the answers to the writes of a place match the log, in which at has the
// revisions of the writes by their tokens.
func answered(rep *Report, name string, at map[string]int64, ops []Op) {
	var order []stamped
	for _, o := range ops {
		if o.Verb != Write && o.Verb != Stale {
			continue
		}
		rev := at[o.Token()]
		delete(at, o.Token())
		switch {
		case o.Outcome == OK && rev == 0:
			rep.Addf("%s: the write %s was acknowledged and is not in the log", name, o.Token())
		case (o.Outcome == Failed || o.Outcome == Refused) && rev != 0:
			rep.Addf("%s: the write %s was refused and is in the log at revision %d: %s", name,
				o.Token(), rev, o.Err)
		case o.Outcome == OK && o.Revision != 0 && o.Revision != rev:
			rep.Addf("%s: the write %s was acknowledged at revision %d and is at %d", name,
				o.Token(), o.Revision, rev)
		case o.Outcome == OK:
			order = append(order, stamped{o.Token(), o.Call, o.Return, rev})
		}
	}
	realTime(rep, order)
	for token, rev := range at {
		rep.Addf("%s: nobody has written what is there at revision %d: %s", name, rev, token)
	}
}
