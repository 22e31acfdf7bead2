package faults_test

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// What happens to the victims' process.
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
		name: "F18", what: "victims' process stopped for 50 to 1500 ms again and again, scheduler busy, TTL 2 s",
		setup: setup{process: true, storm: true, ttl: 2 * time.Second},
		inject: func(r *rig) {
			for began := time.Now(); time.Since(began) < 12*time.Second; {
				r.freeze(50*time.Millisecond + time.Duration(r.rng.Int64N(int64(1450*time.Millisecond))))
				r.wait(5*time.Millisecond + time.Duration(r.rng.Int64N(int64(300*time.Millisecond))))
			}
		},
		judge: func(r *rig, res *result) { res.stale(r, 0) },
	},
}

// freeze stops the victims' process for some time.
func (r *rig) freeze(d time.Duration) {
	from := r.rec.Now()
	r.process.signal(r.t, syscall.SIGSTOP)
	r.wait(d)
	r.conditions.Frozen = append(r.conditions.Frozen, history.Span{Client: "victim", From: from, To: r.rec.Now()})
	r.process.signal(r.t, syscall.SIGCONT)
}

// stale looks at the writes that a process sent under a hold of which it had found, after a pause, that it was over. What
// the log has of them the checks of the places have seen; here they are counted, by the server's answer.
func (res *result) stale(r *rig, atLeast int) {
	sent, refused := 0, 0
	for _, o := range res.ops {
		if o.Verb != history.Stale {
			continue
		}
		sent++
		if o.Outcome == history.Refused {
			refused++
		}
	}
	r.note("%d of %d stale writes refused", refused, sent)
	if sent < atLeast {
		res.Addf("void: %d stale writes were sent, not %d", sent, atLeast)
	}
	if atLeast > 0 && refused < sent { // each pause was longer than the TTL: the server had taken all
		res.Addf("%d stale writes of %d were not refused", sent-refused, sent)
	}
}

// takenOver checks how long after the death of the process that held it each place was granted to somebody else.
func (res *result) takenOver(r *rig) {
	limit := r.setup.ttl + 1500*time.Millisecond
	var worst int64
	for _, place := range exclusive {
		next := int64(0)
		for _, o := range res.ops {
			if o.Place == place && o.Verb == history.Lock && o.Outcome == history.OK && strings.HasPrefix(o.Client, "other") &&
				o.Return > r.killed && (next == 0 || o.Return < next) {
				next = o.Return
			}
		}
		took := time.Duration(next - r.killed)
		worst = max(worst, int64(took))
		if next == 0 || took > limit {
			res.Addf("%s was granted to somebody else after %v, not within %v", place, took.Round(time.Millisecond), limit)
		}
	}
	again := slices.ContainsFunc(res.ops, func(o history.Op) bool { return o.Verb == history.Receive && o.Attempt > 1 && o.Call < r.healed })
	r.note("next grants within %v, items delivered again: %v", short(worst), again)
	if !again {
		res.Addf("void: nothing that the process had claimed was delivered again")
	}
}
