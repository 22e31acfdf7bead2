package faults_test

import (
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/load"
)

// fault is one line of the matrix.
type fault struct {
	name  string
	what  string
	setup setup
	// inject returns at the end of the fault. The run ends the effects of proxies.
	inject func(*rig)
	judge  func(*rig, *result) // in addition to the checks of every run
}

// all returns the faults in the order of the matrix.
func all() []fault { return slices.Concat(clusterFaults, clientFaults, processFaults) }

// gapWithin checks the longest time without a grant of the mutex.
func (res *result) gapWithin(limit time.Duration) {
	if res.gap > limit {
		res.latef("a gap of %v, over %v", res.gap.Round(time.Millisecond), limit)
	}
}

// keepsSessions checks that no session was lost.
func (res *result) keepsSessions() {
	if n := res.losses.Lost; n > 0 {
		res.latef("%d sessions were lost", n)
	}
}

// measures checks that the run has measured at least n margins.
func (res *result) measures(n int) {
	if got := len(res.losses.Margins); got < n {
		res.latef("only %d margins were measured, not %d", got, n)
	}
}

// nothingWithin checks that no grant was returned in a time, in nanoseconds. It allows a round of a
// barrier that was complete before, because its members may read that from the remaining member of
// the cluster, and the grants of a cached lock, for which a session needs no answer.
func (res *result) nothingWithin(from, to int64) {
	for _, o := range res.ops {
		grant := o.Verb == history.Lock || o.Verb == history.RLock || o.Verb == history.Ack ||
			o.Verb == history.Await && o.Call > from
		if grant && o.Place != load.Cached && o.Outcome == history.OK && o.Return > from &&
			o.Return < to {
			res.Addf("%s of %s was granted while there was no quorum, %v after its loss", o.Verb,
				o.Place, short(o.Return-from))
		}
	}
}

// exclusive are the places with one holder, whose next grant after a kill is timed.
var exclusive = []string{load.Mutex, load.Election, load.Frozen}
