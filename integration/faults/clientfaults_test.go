package faults_test

import (
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// Faults of the links between clients and members, and of requests.
var clientFaults = []fault{
	{
		name: "F8", what: "victims cut off, both ways, for longer than their TTL",
		inject: func(r *rig) {
			r.cutVictims(r.setup.ttl + 3*time.Second)
		},
		judge: func(_ *rig, res *result) { res.measures(each) },
	},
	{
		name: "F9", what: "answers to victims late by 0.5 s, then 1 s, then none",
		setup: setup{attempt: 4 * time.Second},
		inject: func(r *rig) {
			for _, d := range []time.Duration{500 * time.Millisecond, time.Second} {
				r.victims.each(func(p *faultproxy.Proxy) { p.Delay(faultproxy.Down, d) })
				r.wait(r.setup.ttl)
			}
			r.cutVictims(r.setup.ttl + 3*time.Second)
		},
		judge: func(_ *rig, res *result) { res.measures(each) },
	},
	{
		name: "F10", what: "answers to transactions dropped",
		setup: setup{http: true},
		inject: func(r *rig) {
			var rules []*faultproxy.ArmedRule
			var turn atomic.Int64
			one := func(n int64) func(*faultproxy.Request) bool {
				return func(q *faultproxy.Request) bool {
					return q.Path == "/v3/kv/txn" && turn.Add(1)%n == 0
				}
			}
			for _, g := range []group{r.victims, r.others} {
				for _, h := range g.http {
					rules = append(rules,
						h.Add(faultproxy.Rule{Match: one(7), Action: faultproxy.Drop}),
						h.Add(faultproxy.Rule{Match: one(97), Action: faultproxy.Hang}))
				}
			}
			dropped := func() (n int) {
				for _, a := range rules {
					n += a.Hits()
				}
				return n
			}
			r.until(time.Duration(15)*time.Second, func() bool { return dropped() >= 400 })
			r.dropped = dropped()
			r.note("%d answers dropped", r.dropped)
		},
		judge: func(r *rig, res *result) {
			if r.dropped < 200 {
				res.latef("only %d answers were dropped, not 200", r.dropped)
			}
		},
	},
	{
		name: "F11", what: "victims lose all they send for 4 s, then all they receive",
		inject: func(r *rig) {
			for _, d := range []faultproxy.Direction{faultproxy.Up, faultproxy.Down} {
				r.victims.each(func(p *faultproxy.Proxy) { p.Blackhole(d) })
				r.wait(4 * time.Second)
				r.victims.each(func(p *faultproxy.Proxy) { r.check(p.Heal()) })
				r.wait(time.Second)
			}
		},
	},
	{
		name: "F16", what: "all connections reset every 100 ms",
		inject: func(r *rig) {
			fds, goroutines := descriptors(r), runtime.NumGoroutine()
			for range 80 {
				for _, g := range []group{r.victims, r.others} {
					g.each((*faultproxy.Proxy).Reset)
				}
				r.wait(100 * time.Millisecond)
			}
			// Connections that open and close may account for half more than before. A leak at each
			// reset would be hundreds.
			calm := r.until(10*time.Second, func() bool {
				return descriptors(r) <= fds+fds/2 &&
					runtime.NumGoroutine() <= goroutines+goroutines/2
			})
			r.note("%d descriptors before, %d after; %d goroutines before, %d after", fds,
				descriptors(r), goroutines,
				runtime.NumGoroutine())
			if !calm {
				r.t.Error("descriptors or goroutines have grown")
			}
		},
		judge: func(_ *rig, res *result) { res.gapWithin(2 * time.Second) },
	},
	{
		name: "F17", what: "tokens revoked every 2 s, and expired",
		setup: setup{http: true, password: "correct horse", tokenTTL: 3 * time.Second},
		inject: func(r *rig) {
			var logins atomic.Int64
			for _, g := range []group{r.victims, r.others} {
				for _, h := range g.http {
					h.Add(faultproxy.Rule{Match: func(q *faultproxy.Request) bool {
						if q.Path == "/v3/auth/authenticate" {
							logins.Add(1)
						}
						return false
					}})
				}
			}
			client := r.cluster.ClientV3(r.t)
			const revocations = 5
			for range revocations {
				// The same password again, which revokes the tokens.
				_, err := client.UserChangePassword(r.t.Context(), "root", r.setup.password)
				r.check(err)
				r.wait(2 * time.Second)
			}
			r.logins = int(logins.Load())
			r.note("%d logins of %d parties after %d revocations", r.logins, 2*each, revocations)
		},
		judge: func(r *rig, res *result) {
			res.keepsSessions()
			if atLeast, most := 2*each, 2*2*each*5; r.logins < atLeast || r.logins > most {
				res.Addf("%d logins are not between %d and %d", r.logins, atLeast, most)
			}
		},
	},
}

// cutVictims loses all bytes from and to the victims for some time.
func (r *rig) cutVictims(d time.Duration) {
	from := r.rec.Now()
	r.victims.each(func(p *faultproxy.Proxy) { p.Blackhole(faultproxy.Both) })
	r.wait(d)
	r.conditions.Cut = append(r.conditions.Cut, history.Span{
		Client: "victim", From: from,
		To: r.rec.Now(),
	})
}

// descriptors returns how many files the process has open, or 0 if the system does not show them.
func descriptors(r *rig) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		r.t.Logf("descriptors are not counted: %v", err)
	}
	return len(entries)
}
