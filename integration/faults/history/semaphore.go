package history

import "strconv"

// Semaphores checks a semaphore. It is a value.
type Semaphores struct {
	Place string
	Limit int
}

// Check adds the violations of the semaphore's rules to rep.
func (k Semaphores) Check(rep *Report, c *Conditions, log Log, all []Op) {
	ops := Of(all, k.Place)
	l := Replay(rep, log, k.Place, k.fill,
		func(r Revision, members []*Tenure, _ map[string]string) {
			used := 0
			for _, m := range members {
				if m.Admitted != 0 {
					used += weight(m)
				}
			}
			if used > k.Limit {
				rep.Addf("%s: revision %d: %d of %d permits are out", k.Place, r.Rev, used, k.Limit)
			}
		})
	holds := c.Holds(rep, ops)
	granted(rep, l, holds)
	ghosts(rep, l, ops, holds, LostSessions(all))
	writes(rep, log, l, ops, false)
	for _, h := range holds {
		if t := l.Tenures[h.Fence]; t != nil && weight(t) != h.Weight {
			rep.Addf("%s: %s has a permit of %d, the log one of %d", k.Place, h.Client, h.Weight,
				weight(t))
		}
	}
	if !c.Early {
		k.atATime(rep, holds)
	}
}

// fill is the Rule of a semaphore: members are admitted in order while their weights fit.
func (k Semaphores) fill(members []*Tenure, settings map[string]string) int {
	free, _ := strconv.Atoi(settings["size"])
	for i, m := range members {
		if free -= weight(m); free < 0 {
			return i
		}
	}
	return len(members)
}

func weight(t *Tenure) int {
	w, _ := strconv.Atoi(t.Value)
	return w
}

// atATime checks by the clock that the permits held at any time did not exceed the limit.
func (k Semaphores) atATime(rep *Report, holds []*Hold) {
	var open []*Hold
	for _, h := range holds {
		used, rest := 0, open[:0:0]
		for _, o := range open {
			if o.To > h.From {
				rest = append(rest, o)
				used += o.Weight
			}
		}
		if open = rest; h.To <= h.From {
			continue
		}
		if open = append(open, h); used+h.Weight > k.Limit {
			rep.Addf("%s: %s got a permit of %d while %d of %d were held", k.Place, h.Client,
				h.Weight, used, k.Limit)
		}
	}
}
