package faults_test

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/load"
)

// Faults of the victims' process.
var processFaults = []fault{
	{
		name: "F12", what: "victims' process frozen for longer than their TTL, twice",
		setup: setup{process: true},
		inject: func(r *rig) {
			for range 2 {
				r.freeze(r.setup.ttl + 3*time.Second)
				r.wait(4 * time.Second)
			}
		},
		judge: func(r *rig, res *result) { res.stale(r, 2) },
	},
	{
		name: "F13", what: "victims' process killed",
		setup: setup{process: true},
		inject: func(r *rig) {
			r.process.kill()
			r.killed = r.rec.Now()
			r.wait(r.setup.ttl + 4*time.Second)
		},
		judge: func(r *rig, res *result) { res.takenOver(r) },
	},
	{
		name: "F18", what: "victims' process stopped for 50 to 1500 ms again and again, thrice " +
			"for longer than the TTL of 2 s, scheduler busy",
		setup: setup{process: true, ttl: 2 * time.Second},
		inject: func(r *rig) {
			r.process.storm()
			for i := range 15 {
				r.freeze(50*time.Millisecond +
					time.Duration(r.rng.Int64N(int64(1450*time.Millisecond))))
				r.wait(5*time.Millisecond +
					time.Duration(r.rng.Int64N(int64(300*time.Millisecond))))
				if i%5 == 4 {
					r.freeze(r.setup.ttl + 1500*time.Millisecond)
					r.wait(2 * time.Second)
				}
			}
		},
		judge: func(r *rig, res *result) { res.stale(r, 2) },
	},
}

// freeze stops the victims' process for some time.
func (r *rig) freeze(d time.Duration) {
	from := r.rec.Now()
	r.process.signal(r.t, syscall.SIGSTOP)
	r.wait(d)
	r.conditions.Frozen = append(r.conditions.Frozen, history.Span{
		Client: "victim", From: from,
		To: r.rec.Now(),
	})
	r.process.signal(r.t, syscall.SIGCONT)
}

// stale counts the writes that holders sent after they were frozen and after the server had deleted
// the hold, and checks that the server refused all of them. The checks of the places have compared
// the log; this one compares the server's answer. A write of a holder that noticed the loss before
// the server deleted the hold may be applied.
func (res *result) stale(r *rig, atLeast int) {
	var rep history.Report // not used, because violations of the lines are reported before
	sent, refused, early := 0, 0, 0
	for _, place := range []string{load.Frozen, load.FrozenPermit} {
		line := history.Replay(&rep, res.log, place, history.Exclusive, nil)
		for _, o := range history.Of(res.ops, place) {
			t := line.Tenures[o.Fence]
			switch {
			case o.Verb == history.Stale && o.Valid:
				res.Addf("%s called its hold valid and stale", o.Client)
			case o.Verb != history.Stale || t == nil:
			case t.Left == 0 || res.log.At(t.Left) > o.Call:
				early++
			case o.Outcome == history.Refused:
				sent, refused = sent+1, refused+1
			default:
				sent++
				res.Addf("%s: a write under %d was not refused after the server had taken the "+
					"hold: %s %s", place, o.Fence, o.Outcome, o.Err)
			}
		}
	}
	r.note("%d of %d stale writes refused, %d sent before the hold was taken", refused, sent, early)
	if sent < atLeast {
		res.latef("only %d stale writes were sent, not %d", sent, atLeast)
	}
}

// takenOver checks how long after the kill of the process each of its places was granted to another
// client.
func (res *result) takenOver(r *rig) {
	limit := r.setup.ttl + 1500*time.Millisecond
	var worst int64
	for _, place := range exclusive {
		next := int64(0)
		for _, o := range res.ops {
			if o.Place == place && o.Verb == history.Lock && o.Outcome == history.OK &&
				strings.HasPrefix(o.Client, "other") &&
				o.Return > r.killed && (next == 0 || o.Return < next) {
				next = o.Return
			}
		}
		took := time.Duration(next - r.killed)
		worst = max(worst, int64(took))
		switch {
		case next == 0:
			res.Addf("%s was not granted to somebody else", place)
		case took > limit:
			res.latef("%s was granted to somebody else after %v, not within %v", place,
				took.Round(time.Millisecond), limit)
		}
	}
	again := slices.ContainsFunc(res.ops, func(o history.Op) bool {
		return o.Verb == history.Receive && o.Attempt > 1 && o.Call < r.healed
	})
	r.note("next grants within %v, items delivered again: %v", short(worst), again)
	if !again {
		res.latef("nothing that the process had claimed was delivered again")
	}
}
