package history

import (
	"encoding/json"
	"math"
)

// Barriers are the checks of a cyclic barrier.
type Barriers struct {
	Place   string
	Parties int
}

type fate struct {
	Round  int64 `json:"round"`
	From   int64 `json:"from"`
	To     int64 `json:"to"`
	Broken bool  `json:"broken"`
}

// Check checks the barrier.
func (k Barriers) Check(rep *Report, log Log, all []Op) {
	decided := map[int64]fate{}
	l := Replay(rep, log, k.Place, Exclusive, func(r Revision, members []*Tenure, settings map[string]string) {
		if settings["rounds"] == "" {
			return
		}
		var record []fate
		if err := json.Unmarshal([]byte(settings["rounds"]), &record); err != nil {
			rep.Addf("%s: revision %d: %v", k.Place, r.Rev, err)
			return
		}
		for _, f := range record {
			was, known := decided[f.Round]
			if known && was != f {
				rep.Addf("%s: revision %d: the fate of a round was %+v and is %+v", k.Place, r.Rev, was, f)
			}
			decided[f.Round] = f
			if before, ok := decided[f.Round-1]; !known && ok && f.From != before.To {
				rep.Addf("%s: revision %d: the round %+v does not begin behind %+v", k.Place, r.Rev, f, before)
			}
			n := 0
			for _, m := range members {
				if f.From < m.Fence && m.Fence <= f.To {
					n++
				}
			}
			if !known && !f.Broken && n != k.Parties {
				rep.Addf("%s: revision %d: a round of %d, not %d, is complete: %+v", k.Place, r.Rev, n, k.Parties, f)
			}
		}
	})
	for _, m := range l.Members {
		rep.Addf("%s: %s has stood there since revision %d and nobody owns it", k.Place, m.Key, m.Fence)
	}
	k.passed(rep, decided, Of(all, k.Place))
}

// passed checks what clients were told: those who passed were in a complete round, and none was told before all had come.
func (k Barriers) passed(rep *Report, decided map[int64]fate, ops []Op) {
	type round struct {
		n                       int
		lastCall, firstReturned int64
	}
	rounds := map[int64]*round{}
	for _, o := range ops {
		if o.Verb != Await || o.Outcome != OK {
			continue
		}
		f, ok := decided[o.Round]
		if !ok || f.Broken || o.Fence <= f.From || o.Fence > f.To {
			rep.Addf("%s: %s passed round %d with the fence %d, and the log says %+v", k.Place, o.Client, o.Round, o.Fence, f)
		}
		r := rounds[o.Round]
		if r == nil {
			r = &round{firstReturned: math.MaxInt64}
			rounds[o.Round] = r
		}
		r.n++
		r.lastCall, r.firstReturned = max(r.lastCall, o.Call), min(r.firstReturned, o.Return)
	}
	for number, r := range rounds {
		if r.n > k.Parties {
			rep.Addf("%s: %d passed round %d", k.Place, r.n, number)
		}
		if r.firstReturned < r.lastCall {
			rep.Addf("%s: somebody passed round %d %s before another came", k.Place, number, ms(r.lastCall-r.firstReturned))
		}
	}
}
