package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// result is the result of a run. The violations of the Report are wrong on any machine.
type result struct {
	history.Report
	late     []string // findings about time, which a busy machine may cause
	log      history.Log
	ops      []history.Op
	losses   history.Losses
	early    int
	unknown  int
	overdue  int           // holds that made no progress
	adopted  int           // detached holds
	uses     history.Uses  // of the cached lock
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
		usage := stop()
		t.Logf("%s: %v", f.name, usage)
		failures, void := machine.Judge(violations, late, usage.Busy())
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
		for _, place := range []string{load.Queue, load.Slow, load.Grouped} {
			ctx, cancel := context.WithTimeout(r.t.Context(), recipetest.Patience)
			resp, err := client.Get(ctx, place+"//q/", clientv3.WithPrefix(),
				clientv3.WithCountOnly())
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
	for _, place := range []string{load.Queue, load.Slow, load.Grouped} {
		res.early += history.Queues{Place: place, Drained: true}.Check(rep, c, log, ops)
	}
	history.Fleets{Group: load.Fleet, Shards: load.FleetShards}.Check(rep, log, ops)
	history.Banks{Place: load.Bank}.Check(rep, log, ops)
	history.Limits{Place: load.Tokens, Burst: load.TokenBurst, Second: load.TokenRate}.Check(rep, ops)
	res.early += history.Jobs{Place: load.Once}.Check(rep, c, log, ops)
	res.early += history.Jobs{Place: load.Cron, Period: load.Period}.Check(rep, c, log, ops)
	res.early += history.Locks{Place: load.Overdue}.Check(rep, c, log, ops)
	if res.overdue = history.Overdue(rep, load.Overdue, load.MaxHold, ops); res.overdue == 0 {
		res.latef("no hold was overdue")
	}
	early, adopted := history.Moves{Place: load.Moving, For: load.DetachedFor}.Check(rep, c, log, ops)
	res.early, res.adopted = res.early+early, adopted
	cached := history.Cached{Place: load.Cached, Foreign: load.ForeignClient}
	if res.uses = cached.Check(rep, c, log, ops); res.uses.Passed == 0 || res.uses.Foreign == 0 {
		res.latef("of the cached lock: %+v", res.uses)
	}
	res.early += res.uses.Early
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
		model.Mutex(c, load.Overdue, ops, written, false),
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
