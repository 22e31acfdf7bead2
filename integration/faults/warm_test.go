package faults_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/load"
)

// rates is the load per second.
type rates struct {
	grants float64 // grants of the mutex
	items  float64 // enqueued
}

// leastLoad is the least load before the fault. With less, the run says nothing. A quiet machine
// with two processors had at least 35 grants and 74 items per second with 20 recipes, so the margin
// is more than 2. The limit is still some hundred calls in the time of a lease.
var leastLoad = rates{15, 30}

// recipe is a place and a verb that must work again after the fault.
type recipe struct {
	place, verb string
	slack       time.Duration // added to recovery
}

// hungAhead is the time for which a hold is kept from a party if all others hang before it.
const hungAhead = 2 * each * (load.MaxHold + time.Second)

func (r *rig) recipes() []recipe {
	return []recipe{
		{load.Mutex, history.Lock, 0},
		{load.Delayed, history.Lock, 2 * r.setup.ttl}, // the expiry of a lease, and the delay
		{load.RW, history.RLock, 0},
		{load.RW, history.Lock, 0},
		{load.Election, history.Lock, 0},
		{load.Election, history.Read, 0},
		{load.Semaphore, history.Lock, 0},
		{load.Barrier, history.Await, 0},
		{load.Queue, history.Enqueue, 0},
		{load.Queue, history.Ack, 0},
		{load.Slow, history.Ack, 0},
		{history.ShardOf(load.Fleet, 0), history.Write, 2 * r.setup.ttl}, // the leader and the owner
		{load.Bank, history.Transfer, 0},
		{load.Bank, history.Copy, 0},
		{load.Tokens, history.Take, 0},
		{load.Once, history.Do, 0},
		{load.Cron, history.Ack, r.setup.ttl}, // the ticks of the fault are completed before
		// The other parties may all be ahead, and hang, or detach the lock and leave it to expire.
		{load.Overdue, history.Lock, hungAhead},
		{load.Moving, history.Adopt, 2 * each * load.DetachedFor},
		{load.Grouped, history.Ack, 0},
		{load.Cached, history.Unlock, 0},
	}
}

// warm waits until all recipes are in use and the load is large enough. On a busy machine it waits
// longer. It is late if the load stays too small, and a violation if a recipe never works.
func (r *rig) warm() (violations, late []string) {
	r.t.Helper()
	var load rates
	for began := time.Now(); time.Since(began) < warmUpLimit; {
		load = r.rate(warmUp)
		enough := load.grants >= leastLoad.grants && load.items >= leastLoad.items
		if enough && len(r.missing(0)) == 0 {
			r.t.Logf("before the fault: %.0f grants of the mutex, %.0f items enqueued per second",
				load.grants, load.items)
			return nil, nil
		}
	}
	late = append(late, fmt.Sprintf("%.0f grants, %.0f items per second before the fault are "+
		"not enough to say anything", load.grants, load.items))
	if !r.until(never, func() bool { return len(r.missing(0)) == 0 }) {
		for _, c := range r.missing(0) {
			violations = append(violations,
				fmt.Sprintf("before the fault nothing ever came of: %s %s", c.place, c.verb))
		}
	}
	return violations, late
}

// rate measures the load for some time.
func (r *rig) rate(d time.Duration) rates {
	count := func() (grants, items int) {
		r.rec.Each(func(o *history.Op) {
			switch {
			case o.Outcome != history.OK:
			case o.Place == load.Mutex && o.Verb == history.Lock:
				grants++
			case o.Place == load.Queue && o.Verb == history.Enqueue:
				items++
			}
		})
		return grants, items
	}
	began := time.Now()
	g, i := count()
	r.wait(d)
	h, j := count()
	passed := time.Since(began).Seconds()
	return rates{float64(h-g) / passed, float64(j-i) / passed}
}

// missing returns the recipes without a successful call that began at or after a time.
func (r *rig) missing(after int64) []recipe {
	done := map[[2]string]bool{}
	r.rec.Each(func(o *history.Op) {
		if o.Outcome == history.OK && o.Call >= after {
			done[[2]string{o.Place, o.Verb}] = true
		}
	})
	return slices.DeleteFunc(r.recipes(), func(c recipe) bool {
		return done[[2]string{c.place, c.verb}]
	})
}
