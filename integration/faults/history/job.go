package history

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Jobs checks work of which each unit is completed once: the names of a single run, or the ticks of
// a schedule. An attempt at a unit is a hold, and a completion writes DoneKey. It is a value.
type Jobs struct {
	Place string
	// Period is the time between two ticks. 0 means that the units are names, see UnitName, and
	// that calls of Do return the value of the completion.
	Period time.Duration
}

// UnitName returns the name of a unit that has a line of its own.
func UnitName(place, unit string) string { return place + "/" + unit }

// commit is the completion of a unit in the log.
type commit struct {
	rev   int64
	token string // of the op that completed it
	by    *Op    // the attempt
}

// Check adds the violations of the rules to rep. It returns how many pairs of attempts overlapped
// for a time that the conditions allow.
func (k Jobs) Check(rep *Report, c *Conditions, log Log, all []Op) (early int) {
	ops := Of(all, k.Place)
	left := deletions(log, k.Place+"/")
	commits := k.commits(rep, log)
	k.attempts(rep, ops, commits, left)
	k.completions(rep, ops, commits, left)
	if k.Period > 0 {
		k.inOrder(rep, commits)
	} else {
		k.results(rep, ops, commits)
	}
	gone := func(h *Hold) int64 { return log.At(left[incarnation{h.Key, h.Fence}]) }
	units := map[string][]Op{}
	for _, o := range ops {
		unit := o.Value
		if k.Period > 0 { // no two ticks run at a time
			unit = ""
		}
		units[unit] = append(units[unit], o)
	}
	for unit, ops := range units {
		early += overlaps(rep, k.Place+" "+unit, c.Holds(rep, ops), gone, c.learnt(false))
	}
	return early
}

// commits returns the completion of each unit.
func (k Jobs) commits(rep *Report, log Log) map[string]*commit {
	all, results := map[string]*commit{}, map[string]int64{}
	for _, r := range log {
		for _, ev := range r.Events {
			if unit, ok := strings.CutPrefix(ev.Key, DoneKey(k.Place, "")); ok {
				if all[unit] != nil || ev.Deleted {
					rep.Addf("%s: %s was completed again at revision %d", k.Place, unit, r.Rev)
					continue
				}
				all[unit] = &commit{rev: r.Rev, token: ev.Value}
			}
			name, ok := strings.CutSuffix(ev.Key, "//result")
			if unit, below := strings.CutPrefix(name, UnitName(k.Place, "")); ok && below {
				if results[unit] != 0 {
					rep.Addf("%s: the result of %s was written again at revision %d", k.Place, unit,
						r.Rev)
				}
				results[unit] = r.Rev
			}
		}
	}
	for unit, cm := range all {
		if k.Period == 0 && results[unit] != cm.rev {
			rep.Addf("%s: the write of %s is at revision %d, and its result at %d", k.Place, unit,
				cm.rev, results[unit])
		}
	}
	return all
}

// attempts checks that the attempts at a unit count up with their fences, and that none began after
// the completion.
func (k Jobs) attempts(
	rep *Report, ops []Op, commits map[string]*commit, left map[incarnation]int64,
) {
	begun := map[string][]*Op{}
	for i, o := range ops {
		if o.Verb == Lock {
			begun[o.Value] = append(begun[o.Value], &ops[i])
		}
	}
	for unit, attempts := range begun {
		slices.SortFunc(attempts, func(a, b *Op) int { return cmp.Compare(a.Fence, b.Fence) })
		cm := commits[unit]
		for i, o := range attempts {
			at, known := left[incarnation{o.Key, o.Fence}]
			switch {
			case !known:
				rep.Addf("%s: %s runs %s under %s at %d, which the log does not have", k.Place,
					o.Client, unit, o.Key, o.Fence)
			case cm != nil && o.Fence > cm.rev:
				rep.Addf("%s: %s runs %s under %d after its completion at %d", k.Place, o.Client,
					unit, o.Fence, cm.rev)
			case cm != nil && at == cm.rev:
				cm.by = o
			}
			// An attempt that the end of the load has stopped is not counted.
			if i > 0 && (o.Attempt < attempts[i-1].Attempt ||
				o.Attempt == attempts[i-1].Attempt && k.Period == 0) {
				rep.Addf("%s: attempt %d at %s came after attempt %d", k.Place, o.Attempt, unit,
					attempts[i-1].Attempt)
			}
		}
	}
}

// completions checks that the answers of the completions match the log, and that each was applied
// under its hold, which it ended.
func (k Jobs) completions(
	rep *Report, ops []Op, commits map[string]*commit, left map[incarnation]int64,
) {
	known := map[string]bool{}
	for _, o := range ops {
		if o.Verb != Ack {
			continue
		}
		cm := commits[o.Value]
		applied := cm != nil && cm.token == o.Token()
		known[o.Token()] = true
		switch {
		case o.Outcome == OK && !applied:
			rep.Addf("%s: %s was told that it has completed %s, and the log says otherwise",
				k.Place, o.Token(), o.Value)
		case (o.Outcome == Failed || o.Outcome == Refused) && applied:
			rep.Addf("%s: the completion of %s by %s was refused and is in the log at revision %d",
				k.Place, o.Value, o.Token(), cm.rev)
		case applied && left[incarnation{o.Key, o.Fence}] != cm.rev:
			rep.Addf("%s: the completion of %s at revision %d was not under its hold", k.Place,
				o.Value, cm.rev)
		}
	}
	for unit, cm := range commits {
		if !known[cm.token] {
			rep.Addf("%s: nobody has completed %s, which is in the log at %d", k.Place, unit, cm.rev)
		}
	}
}

// results checks that all calls have the result that was committed.
func (k Jobs) results(rep *Report, ops []Op, commits map[string]*commit) {
	for _, o := range ops {
		if o.Verb != Do || o.Outcome != OK {
			continue
		}
		switch cm := commits[o.Value]; {
		case cm == nil:
			rep.Addf("%s: %s has a result of %s, which nobody has committed", k.Place, o.Client,
				o.Value)
		case o.Result != cm.token:
			rep.Addf("%s: %s has the result %q of %s, not %q", k.Place, o.Client, o.Result, o.Value,
				cm.token)
		case cm.by != nil && (o.Fence != cm.by.Fence || o.Attempt != cm.by.Attempt):
			rep.Addf("%s: %s has the result of attempt %d at %s under %d, not of %d under %d",
				k.Place, o.Client, o.Attempt, o.Value, o.Fence, cm.by.Attempt, cm.by.Fence)
		}
	}
}

// inOrder checks that no tick is missing between the first and the last, and that they were
// completed in their order.
func (k Jobs) inOrder(rep *Report, commits map[string]*commit) {
	units := map[int64]*commit{}
	var all []int64
	for unit, cm := range commits {
		tick, err := strconv.ParseInt(unit, 10, 64)
		if err != nil {
			rep.Addf("%s: a tick %q", k.Place, unit)
			continue
		}
		units[tick] = cm
		all = append(all, tick)
	}
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i]-all[i-1] != int64(k.Period) {
			rep.Addf("%s: the tick after %d is %d: ticks are lost", k.Place, all[i-1], all[i])
		}
		if units[all[i]].rev <= units[all[i-1]].rev {
			rep.Addf("%s: the tick %d was completed before %d", k.Place, all[i], all[i-1])
		}
	}
}
