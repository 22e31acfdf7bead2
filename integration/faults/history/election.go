package history

import "sort"

// Elections checks an election, which is a lock whose holder shows a value. It is a value.
type Elections struct {
	Place string
}

// leadership is the leader and its value from a revision on. Fence 0 means that there is no leader.
type leadership struct {
	rev   int64
	fence int64
	value string
}

// Check adds the violations of the election's rules to rep. It returns the same as Locks.Check.
func (k Elections) Check(rep *Report, c *Conditions, log Log, all []Op) (early int) {
	ops := Of(all, k.Place)
	var register []leadership
	l := Replay(rep, log, k.Place, Exclusive,
		func(r Revision, members []*Tenure, _ map[string]string) {
			now := leadership{rev: r.Rev}
			if len(members) > 0 {
				now.fence, now.value = members[0].Fence, members[0].Value
			}
			register = append(register, now)
		})
	holds := c.Holds(rep, ops)
	granted(rep, l, holds)
	ghosts(rep, l, ops, holds, LostSessions(all))
	k.proclaimed(rep, l, ops)
	k.shown(rep, register, ops)
	return overlaps(rep, k.Place, holds, l.gone(log), c.learnt(false))
}

// proclaimed compares the values in the log with the answers of Proclaim. The log has each
// confirmed value, under its own term, and no refused one. A retry may write the same value again,
// but not after another value.
func (k Elections) proclaimed(rep *Report, l *Line, ops []Op) {
	at := map[string]*Tenure{}
	for _, t := range l.Tenures {
		for i, v := range t.Values {
			if i > 0 && t.Values[i-1].Value == v.Value {
				continue
			}
			if at[v.Value] != nil {
				rep.Addf("%s: revision %d: the value %q came back", k.Place, v.Rev, v.Value)
			}
			at[v.Value] = t
		}
	}
	for _, o := range ops {
		if o.Verb != Proclaim {
			continue
		}
		t := at[o.Value]
		switch {
		case o.Outcome == OK && (t == nil || t.Fence != o.Fence):
			rep.Addf("%s: %q was proclaimed under %d and is not in the log", k.Place, o.Value,
				o.Fence)
		case (o.Outcome == Failed || o.Outcome == Refused) && t != nil:
			rep.Addf("%s: %q was not proclaimed, and is in the log: %s", k.Place, o.Value, o.Err)
		}
	}
}

// shown checks that readers and observers saw the leader and the value of the revision they named.
// The revisions of an observer must increase.
func (k Elections) shown(rep *Report, register []leadership, ops []Op) {
	last := map[string]int64{}
	var order []stamped
	for _, o := range ops {
		if o.Verb != Read && o.Verb != Observe || o.Outcome != OK {
			continue
		}
		i := sort.Search(len(register), func(i int) bool { return register[i].rev > o.Revision })
		var was leadership
		if i > 0 {
			was = register[i-1]
		}
		if was.fence != o.Fence || was.value != o.Value {
			rep.Addf("%s: %s saw %d %q at revision %d, when it was %d %q", k.Place, o.Client,
				o.Fence, o.Value, o.Revision,
				was.fence, was.value)
		}
		if o.Verb == Read {
			continue
		}
		if o.Revision <= last[o.Client] {
			rep.Addf("%s: %s saw revision %d after %d", k.Place, o.Client, o.Revision,
				last[o.Client])
		}
		last[o.Client] = o.Revision
	}
	for _, o := range ops {
		if o.Verb == Proclaim && o.Outcome == OK && o.Revision != 0 {
			order = append(order, stamped{o.Client, o.Call, o.Return, o.Revision})
		}
	}
	realTime(rep, order)
}
