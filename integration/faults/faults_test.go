package faults_test

import "time"

// fault is one line of the matrix.
type fault struct {
	name   string
	what   string
	setup  setup
	inject func(*rig)          // returns when it is over; what proxies do is ended by the run
	judge  func(*rig, *result) // besides what is checked in every run
}

var faults = []fault{
	{
		name: "F1", what: "leader killed, back after 5 s",
		inject: func(r *rig) {
			leader := r.leader()
			r.check(leader.Kill())
			r.wait(5 * time.Second)
			r.check(leader.Launch())
			r.wait(3 * time.Second)
		},
		judge: func(_ *rig, res *result) { res.gapWithin(3500 * time.Millisecond) },
	},
}

// gapWithin checks the longest time without a grant of the mutex.
func (res *result) gapWithin(limit time.Duration) {
	if res.gap > limit {
		res.Addf("a gap of %v, over %v", res.gap.Round(time.Millisecond), limit)
	}
}
