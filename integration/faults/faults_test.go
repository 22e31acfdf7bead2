package faults_test

import (
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/load"
)

// fault is one line of the matrix.
type fault struct {
	name   string
	what   string
	setup  setup
	inject func(*rig)          // returns when it is over; what proxies do is ended by the run
	judge  func(*rig, *result) // besides what is checked in every run
}

// all is the matrix, in its order.
func all() []fault { return slices.Concat(clusterFaults, clientFaults, processFaults) }

// gapWithin checks the longest time without a grant of the mutex.
func (res *result) gapWithin(limit time.Duration) {
	if res.gap > limit {
		res.Addf("a gap of %v, over %v", res.gap.Round(time.Millisecond), limit)
	}
}

// keepsSessions checks that no session was lost.
func (res *result) keepsSessions() {
	if n := res.losses.Lost; n > 0 {
		res.Addf("%d sessions were lost", n)
	}
}

// measures checks that the run has measured at least n margins, without which it says nothing about them.
func (res *result) measures(n int) {
	if got := len(res.losses.Margins); got < n {
		res.Addf("void: %d margins were measured, not %d", got, n)
	}
}

// nothingWithin checks that nobody was granted anything in a time, given in nanoseconds. A round of a barrier that was
// decided before is one that its members may learn of meanwhile, from the member of the cluster that is left.
func (res *result) nothingWithin(from, to int64) {
	for _, o := range res.ops {
		grant := o.Verb == history.Lock || o.Verb == history.RLock || o.Verb == history.Ack || o.Verb == history.Await && o.Call > from
		if grant && o.Outcome == history.OK && o.Return > from && o.Return < to {
			res.Addf("%s of %s was granted while there was no quorum, %v after its loss", o.Verb, o.Place, short(o.Return-from))
		}
	}
}

// places that are locks of one holder, whose next grant after a death is timed.
var exclusive = []string{load.Mutex, load.Election, load.Frozen}
