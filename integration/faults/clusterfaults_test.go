package faults_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// Faults of members and of the links between them.
var clusterFaults = []fault{
	{
		name: "F1", what: "leader killed, back after 5 s",
		inject: func(r *rig) {
			leader := r.leader()
			r.check(leader.Kill())
			r.wait(5 * time.Second)
			r.check(leader.Launch())
			r.wait(3 * time.Second)
		},
		judge: func(_ *rig, res *result) {
			res.gapWithin(3500 * time.Millisecond)
			res.keepsSessions()
		},
	},
	{
		name: "F2", what: "follower killed, back after 3 s",
		inject: func(r *rig) {
			m := r.follower()
			r.check(m.Kill())
			r.wait(3 * time.Second)
			r.check(m.Launch())
			r.wait(3 * time.Second)
		},
		judge: func(_ *rig, res *result) {
			res.gapWithin(500 * time.Millisecond)
			res.keepsSessions()
		},
	},
	{
		name: "F3", what: "leader paused for 5 s, TTL 3 s; then all leases revoked while they " +
			"are " +
			"alive",
		setup: setup{ttl: 3 * time.Second, idle: 10},
		inject: func(r *rig) {
			r.conditions.Early = true
			leader := r.leader()
			r.check(leader.Pause())
			r.wait(5 * time.Second)
			r.check(leader.Resume())
			r.wait(8 * time.Second) // a resumed leader may revoke leases for another 7 s
			r.note("%d leases revoked by the resumed leader", r.revoked())
			// The resumed leader may or may not revoke leases, so the test also revokes them
			// itself.
			r.revokeAll()
			r.wait(2 * time.Second)
		},
		judge: func(_ *rig, res *result) {
			if n := len(res.losses.Late); n < 40 {
				res.latef("only %d sessions learnt that they were revoked, not 40", n)
			}
		},
	},
	{
		name: "F4", what: "follower paused for 8 s",
		inject: func(r *rig) {
			m := r.follower()
			r.check(m.Pause())
			r.wait(8 * time.Second)
			r.check(m.Resume())
			r.wait(3 * time.Second)
		},
		judge: func(r *rig, res *result) {
			res.keepsSessions()
			res.movesWithin(r, 2*time.Second)
		},
	},
	{
		name: "F5", what: "leader isolated for 6 s",
		inject: func(r *rig) {
			r.check(r.cluster.Isolate(r.leader()))
			r.wait(6 * time.Second)
			r.heal()
			r.wait(3 * time.Second)
		},
		judge: func(_ *rig, res *result) { res.gapWithin(3500 * time.Millisecond) },
	},
	{
		name: "F6", what: "link between leader and one follower cut for 6 s",
		inject: func(r *rig) {
			leader, m := r.leader(), r.follower()
			r.check(r.cluster.Cut(leader, m))
			r.check(r.cluster.Cut(m, leader))
			r.wait(6 * time.Second)
			r.heal()
			r.wait(3 * time.Second)
		},
		judge: func(_ *rig, res *result) { res.keepsSessions() },
	},
	{
		name: "F7", what: "two of three killed, back after 4 s",
		inject: func(r *rig) {
			lost := r.cluster.Members()[:2]
			for _, m := range lost {
				r.check(m.Kill())
			}
			down := r.rec.Now()
			r.wait(4 * time.Second)
			up := r.rec.Now()
			for _, m := range lost {
				r.check(m.Launch())
			}
			r.check(r.cluster.WaitHealthy(r.t.Context()))
			// Answers may still be on their way.
			r.down = [2]int64{down + int64(500*time.Millisecond), up}
		},
		judge: func(r *rig, res *result) { res.nothingWithin(r.down[0], r.down[1]) },
	},
	{
		name: "F14", what: "compaction every 200 ms, defragmentation, cut streams",
		inject: func(r *rig) {
			client := r.cluster.ClientV3(r.t)
			r.caughtUp() // before the first compaction, so that the watchers miss no revision
			for i := range 50 {
				ctx, cancel := context.WithTimeout(r.t.Context(), recipetest.Patience)
				resp, err := client.Get(ctx, "compact")
				if err == nil {
					_, err = client.Compact(ctx, resp.Header.Revision)
				}
				if err == nil && i%16 == 5 {
					_, err = client.Defragment(ctx, r.cluster.Members()[i/16%3].Endpoint())
				}
				cancel()
				r.check(err)
				switch i % 20 {
				// The client gives the stream up and the missed events are compacted in this time.
				case 8:
					r.victims.each(func(p *faultproxy.Proxy) { p.Hold(faultproxy.Down) })
				case 18:
					r.victims.each(func(p *faultproxy.Proxy) { r.check(p.Heal()); p.Reset() })
				}
				r.wait(200 * time.Millisecond)
			}
		},
	},
	{
		name: "F15", what: "rolling restart of all members with SIGTERM",
		inject: func(r *rig) {
			for _, m := range r.cluster.Members() {
				r.stop(m)
				r.check(m.Launch())
				r.check(m.WaitHealthy(r.t.Context()))
			}
			r.wait(time.Second)
		},
		judge: func(_ *rig, res *result) {
			res.gapWithin(3 * time.Second)
			res.keepsSessions()
		},
	},
}

// stopWithin is how long a member may take to stop before it is killed, as a service manager does.
// etcd needs 7 s while streams are open, and sometimes more than a minute.
const stopWithin = 20 * time.Second

func (r *rig) stop(m *etcdproc.Member) {
	ctx, cancel := context.WithTimeout(r.t.Context(), stopWithin)
	defer cancel()
	err := m.Stop(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		r.note("%s did not stop, and was killed", m.Name())
		err = m.Kill()
	}
	r.check(err)
}

// revoked returns how many sessions the server has revoked.
func (r *rig) revoked() (n int) {
	r.rec.Each(func(o *history.Op) {
		if o.Verb == history.SessionLost && strings.Contains(o.Value, "revoked") {
			n++
		}
	})
	return n
}

// revokeAll revokes the leases of all sessions.
func (r *rig) revokeAll() {
	client := r.cluster.ClientV3(r.t)
	ctx, cancel := context.WithTimeout(r.t.Context(), recipetest.Patience)
	defer cancel()
	resp, err := client.Leases(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, l := range resp.Leases {
		// A lease may have ended, because the ones of detached locks do.
		if _, err := client.Revoke(ctx, l.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			r.check(err)
		}
	}
}

// movesWithin checks the slowest of the calls that do not wait for other clients. Such a call is
// slow while its client changes to another member. Waiters are slower, because a stream is given up
// after 4 s of silence. The gap of the run includes them.
func (res *result) movesWithin(r *rig, limit time.Duration) {
	var slowest int64
	for _, o := range res.ops {
		if o.Outcome == history.OK && (o.Verb == history.Unlock || o.Verb == history.Ack ||
			o.Verb == history.Read) {
			if o.Return > r.began && o.Call < r.healed {
				slowest = max(slowest, o.Return-o.Call)
			}
		}
	}
	r.note("slowest call %v", short(slowest))
	if time.Duration(slowest) > limit {
		res.latef("a call took %v, over %v", short(slowest), limit)
	}
}
