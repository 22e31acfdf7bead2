package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/load"
	"github.com/holdfast-go/holdfast/integration/faults/machine"
	"github.com/holdfast-go/holdfast/integration/faults/model"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// Bounds of every run.
const (
	warmUp      = 3 * time.Second
	warmUpLimit = 90 * time.Second
	recovery    = 10 * time.Second
	// never is longer than anything takes on a busy machine. An event that has not happened by then
	// is lost.
	never = 2 * time.Minute
)

// rates is the load per second.
type rates struct {
	grants float64 // grants of the mutex
	items  float64 // enqueued
}

// The least load before the fault. With less, the run says nothing. The quick part needs less
// because it runs beside other work; that is still some hundred calls in the time of a lease.
var (
	leastLoad      = rates{50, 100}
	leastLoadQuick = rates{20, 40}
)

// recipe is a place and a verb that must work again after the fault.
type recipe struct {
	place, verb string
	slack       time.Duration // added to recovery
}

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
	}
}

// result is the result of a run. The violations of the Report are wrong on any machine.
type result struct {
	history.Report
	late     []string // findings about time, which a busy machine may cause
	log      history.Log
	ops      []history.Op
	losses   history.Losses
	early    int
	unknown  int
	gap      time.Duration // the longest without a grant of the mutex
	gaps     map[string]time.Duration
	verdicts []*model.Verdict
	recovery time.Duration // until all recipes worked again
	works    int           // the number of recipes that work
}

// watchMachine measures the machine until the result is asked for, or the test ends.
func watchMachine(t *testing.T) (stop func() machine.Usage) {
	t.Helper()
	stop = sync.OnceValue(machine.Watch().Stop)
	t.Cleanup(func() { stop() })
	return stop
}

// latef adds a finding about time.
func (res *result) latef(format string, args ...any) {
	res.late = append(res.late, fmt.Sprintf(format, args...))
}

// run does the steps that all faults have in common. It returns a reason if the run is void, which
// is neither a pass nor a failure: the machine was measured to be too busy for its findings.
func run(t *testing.T, f fault, version string, seed uint64) (res *result, void string) {
	t.Helper()
	stop := watchMachine(t)
	r := newRig(t, version, f.setup, rand.New(rand.NewPCG(seed, seed)))
	began := time.Now()
	if violations, late := r.warm(); len(violations)+len(late) > 0 {
		failures, void := machine.Judge(violations, late, stop().Busy())
		for _, what := range failures {
			t.Error(what)
		}
		return nil, void
	}
	r.began = r.rec.Now()
	f.inject(r)
	r.heal()
	r.healed = r.rec.Now()
	res = &result{}
	r.recovered(res)
	r.drain(res)
	r.finish(res)
	r.judge(res)
	searching := time.Now()
	r.search(res)
	t.Logf("searched for orders for %v", time.Since(searching).Round(time.Millisecond))
	if f.judge != nil {
		f.judge(r, res)
	}
	usage := stop()
	t.Logf("%s: %v", f.name, usage)
	failures, void := machine.Judge(res.Violations, res.late, usage.Busy())
	report(t, f, r, res, seed, time.Since(began), failures)
	return res, void
}

// warm waits until all recipes are in use and the load is large enough. On a busy machine it waits
// longer. It is late if the load stays too small, and a violation if a recipe never works.
func (r *rig) warm() (violations, late []string) {
	r.t.Helper()
	least := r.setup.least
	if least == (rates{}) {
		least = leastLoad
	}
	var load rates
	for began := time.Now(); time.Since(began) < warmUpLimit; {
		load = r.rate(warmUp)
		if load.grants >= least.grants && load.items >= least.items && len(r.missing(0)) == 0 {
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
	return slices.DeleteFunc(r.recipes(), func(c recipe) bool { return done[[2]string{c.place, c.verb}] })
}

// recovered waits until all recipes work again, and reports those that need too long.
func (r *rig) recovered(res *result) {
	reported := map[recipe]bool{}
	for began := time.Now(); ; r.wait(50 * time.Millisecond) {
		missing := r.missing(r.healed)
		res.recovery = time.Since(began)
		res.works = len(r.recipes()) - len(missing)
		if len(missing) == 0 {
			return
		}
		for _, c := range missing {
			if res.recovery > recovery+c.slack && !reported[c] {
				reported[c] = true
				res.latef("%v after the end of the fault nothing has come of: %s %s",
					res.recovery.Round(time.Millisecond), c.place, c.verb)
			}
		}
		if res.recovery > never {
			for _, c := range missing {
				res.Addf("nothing ever came of: %s %s", c.place, c.verb)
			}
			return
		}
	}
}

// ends waits until cond holds. It is a finding about time if that takes more than d, and a
// violation if it does not happen.
func (r *rig) ends(res *result, d time.Duration, what func() string, cond func() bool) {
	began := time.Now()
	if r.until(d, cond) {
		return
	}
	text := what()
	if !r.until(never, cond) {
		res.Addf("%s", what())
		return
	}
	res.latef("%v: %s", time.Since(began).Round(time.Millisecond), text)
}

// drain ends the load and waits until the queues are empty.
func (r *rig) drain(res *result) {
	for _, p := range r.parties {
		p.Stop()
	}
	if r.process != nil {
		r.process.stop()
	}
	client := r.cluster.ClientV3(r.t)
	left := int64(0)
	empty := func() bool {
		left = 0
		for _, place := range []string{load.Queue, load.Slow} {
			ctx, cancel := context.WithTimeout(r.t.Context(), recipetest.Patience)
			resp, err := client.Get(ctx, place+"//q/", clientv3.WithPrefix(), clientv3.WithCountOnly())
			cancel()
			if err != nil {
				r.t.Fatal(err)
			}
			left += resp.Count
		}
		return left == 0
	}
	what := func() string { return fmt.Sprintf("%d items are left", left) }
	r.ends(res, recovery+2*r.setup.ttl, what, empty)
}

// finish ends all parties and merges the logs of the watchers.
func (r *rig) finish(res *result) {
	var err error
	if res.ops, err = r.closeParties(); err != nil {
		res.Addf("%v", err)
	}
	r.noLeases(res)
	r.caughtUp()
	var logs []history.Log
	for _, w := range r.watchers {
		logs = append(logs, w.Stop())
	}
	res.log = history.Merge(&res.Report, logs...)
}

// caughtUp waits until the watchers of all members have received all revisions up to now.
func (r *rig) caughtUp() {
	r.t.Helper()
	ctx := recipetest.Within(r.t, 2*recipetest.Patience)
	resp, err := r.cluster.ClientV3(r.t).Put(ctx, "now", "")
	if err != nil {
		r.t.Fatal(err)
	}
	for i, w := range r.watchers {
		if err := w.Until(ctx, resp.Header.Revision); err != nil {
			r.t.Errorf("member %d: %v", i, err)
		}
	}
}

// noLeases waits until the leases of all sessions have ended.
func (r *rig) noLeases(res *result) {
	client := r.cluster.ClientV3(r.t)
	var left int
	gone := func() bool {
		ctx, cancel := context.WithTimeout(r.t.Context(), recipetest.Patience)
		defer cancel()
		resp, err := client.Leases(ctx)
		if err != nil {
			r.t.Fatal(err)
		}
		left = len(resp.Leases)
		return left == 0
	}
	what := func() string {
		return fmt.Sprintf("%d leases are left after all sessions were closed", left)
	}
	r.ends(res, 2*r.setup.ttl+recovery, what, gone)
}

// judge checks the history.
func (r *rig) judge(res *result) {
	c, log, ops := &r.conditions, res.log, res.ops
	rep := &res.Report
	res.early += history.Locks{Place: load.Mutex}.Check(rep, c, log, ops)
	res.early += history.Locks{Place: load.Frozen}.Check(rep, c, log, ops)
	res.early += history.Locks{Place: load.RW, Shared: true}.Check(rep, c, log, ops)
	history.Locks{Place: load.Delayed, Delayed: true}.Check(rep, c, log, ops)
	res.early += history.Elections{Place: load.Election}.Check(rep, c, log, ops)
	history.Semaphores{Place: load.Semaphore, Limit: load.Permits}.Check(rep, c, log, ops)
	history.Semaphores{Place: load.FrozenPermit, Limit: 1}.Check(rep, c, log, ops)
	history.Barriers{Place: load.Barrier, Parties: load.Parties}.Check(rep, log, ops)
	for _, place := range []string{load.Queue, load.Slow} {
		res.early += history.Queues{Place: place, Drained: true}.Check(rep, c, log, ops)
	}
	res.losses = history.Sessions(rep, c, log, ops)
	for _, o := range ops {
		if o.Outcome == history.Unknown || o.Outcome == "" {
			res.unknown++
		}
	}
	res.gaps = map[string]time.Duration{}
	for _, p := range r.recipes() {
		gap := r.gap(ops, p.place, p.verb)
		res.gaps[p.place+" "+p.verb] = gap
	}
	res.gap = res.gaps[load.Mutex+" "+history.Lock]
}

// search checks the history independently of the log's revisions. It searches for an order in which
// a single program could have made all calls.
func (r *rig) search(res *result) {
	c, ops := &r.conditions, res.ops
	written := model.Written(res.log)
	res.verdicts = []*model.Verdict{
		model.Mutex(c, load.Mutex, ops, written, false),
		model.Mutex(c, load.Delayed, ops, written, true),
		model.Mutex(c, load.Frozen, ops, written, false),
		model.Election(c, load.Election, ops, res.log),
		model.Semaphore(c, load.Semaphore, load.Permits, ops, written),
		model.Semaphore(c, load.FrozenPermit, 1, ops, written),
		model.Queue(c, load.Slow, ops, res.log),
	}
	for _, v := range res.verdicts {
		if !v.Legal() {
			res.Addf("%s: of %d calls the search for an order says %s", v.Place, v.Ops, v.Result)
		}
	}
}

// gap returns the longest time without a success, from the fault until all recipes work again.
func (r *rig) gap(ops []history.Op, place, verb string) time.Duration {
	var at []int64
	for _, o := range ops {
		if o.Place == place && o.Verb == verb && o.Outcome == history.OK {
			at = append(at, o.Return)
		}
	}
	slices.Sort(at)
	var longest int64
	for i := 1; i < len(at); i++ {
		if at[i] >= r.began && at[i-1] <= r.healed {
			longest = max(longest, at[i]-at[i-1])
		}
	}
	return time.Duration(longest)
}

// report logs the run as a line of the table, with all details if it failed.
func report(
	t *testing.T, f fault, r *rig, res *result, seed uint64, took time.Duration, failures []string,
) {
	t.Helper()
	ok := 0
	for _, o := range res.ops {
		if o.Outcome == history.OK {
			ok++
		}
	}
	extra := slices.Clone(r.notes)
	if res.losses.Lost > 0 {
		extra = append(extra, fmt.Sprintf("%d sessions lost", res.losses.Lost))
	}
	if len(res.losses.Margins) > 0 {
		extra = append(extra, fmt.Sprintf("%d margins >= %v", len(res.losses.Margins), short(slices.Min(res.losses.Margins))))
	}
	if len(res.losses.Late) > 0 {
		extra = append(extra, fmt.Sprintf("%d taken early, learnt <= %v", len(res.losses.Late), short(slices.Max(res.losses.Late))))
	}
	if res.early > 0 {
		extra = append(extra, fmt.Sprintf("%d overlaps without a lock delay", res.early))
	}
	t.Logf("table: | %s | %s | %d of %d | %d | %d | %d | %v | %s |", f.name, f.what, res.works, len(r.recipes()), len(res.ops),
		res.unknown, len(res.Violations), res.gap.Round(time.Millisecond), strings.Join(extra, "; "))
	t.Logf("%s: %d of %d operations succeeded, %d revisions, all worked again after %v, gaps %v, took %v", f.name, ok, len(res.ops),
		len(res.log), res.recovery.Round(time.Millisecond), res.gaps, took.Round(time.Second))
	for i, v := range failures {
		if i == 20 {
			t.Errorf("and %d more", len(failures)-i)
			break
		}
		t.Error(v)
	}
	if t.Failed() {
		r.save(f, res, seed)
	}
}

func short(ns int64) time.Duration { return time.Duration(ns).Round(time.Millisecond) }
