package faults_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/load"
	"github.com/holdfast-go/holdfast/integration/proxies"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// each is how many parties there are of either kind.
const each = 2

// proxyVar names a configuration of package proxies, "nginx/unbuffered-answers.conf", that stands before each member.
const proxyVar = "HOLDFAST_FAULTS_PROXY"

// group is what stands between the parties of one kind and the members.
type group struct {
	tcp  []*faultproxy.Proxy     // one before each member
	http []*faultproxy.HTTPProxy // before those; none unless the fault asks for it
	real []*proxies.Proxy        // before those; none unless proxyVar asks for it
}

// Setup is how a fault wants things to be.
type setup struct {
	http     bool          // proxies that understand requests
	attempt  time.Duration // of the victims
	password string        // of root
	ttl      time.Duration
	process  bool // the victims have a process of their own
	storm    bool
	tokenTTL time.Duration
	idle     int   // sessions of each party besides
	least    rates // that the load must reach; leastLoad unless said
}

// rig is a cluster under load. Faults hit the victims, the cluster, or all; the others contend with the victims and are as
// fast as they can be: a victim that holds on too long is found out only by somebody who is quick to get what it holds.
type rig struct {
	t        *testing.T
	setup    setup
	rng      *rand.Rand
	cluster  *etcdtest.Cluster
	victims  group
	others   group
	rec      *history.Recorder
	watchers []*history.Watcher
	parties  []*load.Party
	process  *process

	conditions history.Conditions
	killed     int64 // when the process was, if it was
	began      int64 // the fault
	healed     int64
	down       [2]int64 // when there was no quorum
	dropped    int      // answers
	logins     int
	notes      []string // for the table
}

func newRig(t *testing.T, version string, s setup, rng *rand.Rand) *rig {
	t.Helper()
	if s.ttl == 0 {
		s.ttl = 5 * time.Second
	}
	r := &rig{t: t, setup: s, rng: rng, rec: history.NewRecorder(nil)}
	r.cluster = etcdtest.Start(t, &etcdproc.Options{
		Version:       version,
		Members:       3,
		PeerLinks:     true,
		UnsafeNoFsync: true,
		RootPassword:  s.password,
		AuthTokenTTL:  s.tokenTTL,
		ExtraArgs:     recipetest.Server(version).ExtraArgs,
	})
	for _, m := range r.cluster.Members() {
		w := history.Watch(r.rec.Clock, r.cluster.ClientV3(t, m.Endpoint()))
		t.Cleanup(func() { w.Stop() }) // a second time, unless the test was cut short
		r.watchers = append(r.watchers, w)
	}
	r.victims, r.others = r.newGroup(), r.newGroup()
	var victims []load.Config
	for i := range each {
		r.party(r.config(fmt.Sprintf("other%d", i), r.others, 0))
		victims = append(victims, r.config(fmt.Sprintf("victim%d", i), r.victims, s.attempt))
	}
	if s.process {
		for i := range victims {
			victims[i].Holds = true
			victims[i].Storm = s.storm && i == 0
		}
		r.process = startProcess(t, victims, r.rec)
		return r
	}
	for _, c := range victims {
		r.party(c)
	}
	return r
}

func (r *rig) config(name string, g group, attempt time.Duration) load.Config {
	c := load.Config{Name: name, TTL: r.setup.ttl, Attempt: attempt, Idle: r.setup.idle}
	for i := range g.tcp {
		switch {
		case len(g.real) > 0:
			c.Endpoints = append(c.Endpoints, g.real[i].URL())
		case len(g.http) > 0:
			c.Endpoints = append(c.Endpoints, g.http[i].URL())
		default:
			c.Endpoints = append(c.Endpoints, g.tcp[i].URL())
		}
	}
	if r.setup.password != "" {
		c.Username, c.Password = "root", r.setup.password
	}
	return c
}

func (r *rig) party(c load.Config) {
	p, err := load.Start(c, r.rec)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = p.Close() }) // a second time, unless the test was cut short
	r.parties = append(r.parties, p)
}

func (r *rig) newGroup() group {
	r.t.Helper()
	var g group
	for _, m := range r.cluster.Members() {
		p, err := faultproxy.New(m.Endpoint())
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { r.check(p.Close()) })
		g.tcp = append(g.tcp, p)
		next := p.URL()
		if r.setup.http {
			h, err := faultproxy.NewHTTP(p.URL())
			if err != nil {
				r.t.Fatal(err)
			}
			r.t.Cleanup(func() { r.check(h.Close()) })
			g.http = append(g.http, h)
			next = h.URL()
		}
		if name := os.Getenv(proxyVar); name != "" {
			g.real = append(g.real, r.realProxy(name, next))
		}
	}
	return g
}

// realProxy starts one of the configurations of package proxies, so that the parties reach a member as they do behind it.
func (r *rig) realProxy(name, member string) *proxies.Proxy {
	r.t.Helper()
	p, err := proxies.Start(r.t.Context(), name, proxies.Options{
		Members: []string{strings.TrimPrefix(member, "http://")},
		Dir:     r.t.TempDir(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.check(p.Close()) })
	return p
}

func (g group) each(do func(*faultproxy.Proxy)) {
	for _, p := range g.tcp {
		do(p)
	}
}

func (r *rig) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Error(err)
	}
}

// wait lets time pass, which is what a fault is made of.
func (r *rig) wait(d time.Duration) { recipetest.Pause(r.t, r.t.Context(), d, "fault") }

// until waits until cond holds, and tells whether it did in time.
func (r *rig) until(d time.Duration, cond func() bool) bool {
	for began := time.Now(); !cond(); r.wait(20 * time.Millisecond) {
		if time.Since(began) > d {
			return false
		}
	}
	return true
}

func (r *rig) leader() *etcdproc.Member { return r.cluster.FindLeader(r.t) }

// follower is one of those that do not lead.
func (r *rig) follower() *etcdproc.Member {
	leader := r.leader()
	members := slices.DeleteFunc(r.cluster.Members(), func(m *etcdproc.Member) bool { return m == leader })
	return members[r.rng.IntN(len(members))]
}

// heal makes the proxies pass everything again.
func (r *rig) heal() {
	r.check(r.cluster.HealLinks())
	for _, g := range []group{r.victims, r.others} {
		g.each(func(p *faultproxy.Proxy) { r.check(p.Heal()) })
		for _, h := range g.http {
			h.Clear()
		}
	}
}

func (r *rig) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// closeParties ends all parties and gives what they and the process recorded.
func (r *rig) closeParties() ([]history.Op, error) {
	var errs []error
	for _, p := range r.parties {
		errs = append(errs, p.Close())
	}
	if r.process != nil {
		errs = append(errs, r.process.finish())
	}
	return r.buried(r.rec.Ops()), errors.Join(errs...)
}

// buried ends, at the time of its death, what a killed process held: it acts no more.
func (r *rig) buried(ops []history.Op) []history.Op {
	if r.killed == 0 {
		return ops
	}
	end := func(o history.Op, verb string) history.Op {
		o.ID, o.Verb, o.Value, o.Outcome = -len(ops), verb, "killed", history.OK
		o.Call, o.Return = r.killed, r.killed
		return o
	}
	leases := map[int64]bool{}
	for _, o := range slices.Clip(ops) {
		if !strings.HasPrefix(o.Client, "victim") {
			continue
		}
		if !leases[o.Lease] {
			leases[o.Lease] = true
			ops = append(ops, end(history.Op{Client: o.Client, Lease: o.Lease}, history.SessionLost))
		}
		if (o.Verb == history.Lock || o.Verb == history.RLock || o.Verb == history.Receive) && o.Outcome == history.OK {
			ops = append(ops, end(o, history.Lose))
		}
	}
	return ops
}
