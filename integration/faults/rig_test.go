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

// each is the number of victims and the number of others.
const each = 2

// proxyVar names a configuration of package proxies for a proxy before each member, such as
// "nginx/unbuffered-answers.conf".
const proxyVar = "HOLDFAST_FAULTS_PROXY"

// group is the proxies between the parties of one kind and the members.
type group struct {
	tcp  []*faultproxy.Proxy     // one before each member
	http []*faultproxy.HTTPProxy // before tcp; none unless the fault asks for them
	real []*proxies.Proxy        // before http; none unless proxyVar asks for them
}

// setup is the configuration that a fault needs.
type setup struct {
	http     bool          // with proxies for HTTP requests
	attempt  time.Duration // AttemptTimeout of the victims
	password string        // of root
	ttl      time.Duration
	process  bool // the victims have a process of their own
	tokenTTL time.Duration
	idle     int // further sessions of each party
}

// rig is a cluster under load. Faults affect the victims, the cluster, or all. The others contend
// with the victims and are as fast as they can be, because a victim that holds too long is noticed
// only if another client acquires the same hold quickly.
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
	foreign  *load.Foreign
	process  *process

	conditions history.Conditions
	killed     int64 // when the process was killed, or 0
	began      int64 // start of the fault
	healed     int64
	down       [2]int64 // time without a quorum
	dropped    int      // number of answers
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
		t.Cleanup(func() { w.Stop() }) // does nothing if the run has stopped it
		r.watchers = append(r.watchers, w)
	}
	r.foreign = load.StartForeign(r.cluster.ClientV3(t), s.ttl, r.rec)
	t.Cleanup(r.foreign.Close)
	r.victims, r.others = r.newGroup(), r.newGroup()
	var victims []load.Config
	for i := range each {
		r.party(r.config(fmt.Sprintf("other%d", i), r.others, 0))
		victims = append(victims, r.config(fmt.Sprintf("victim%d", i), r.victims, s.attempt))
	}
	if s.process {
		for i := range victims {
			victims[i].Holds = true
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
	r.t.Cleanup(func() { _ = p.Close() }) // does nothing if the run has closed it
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

// realProxy starts a proxy of package proxies, through which the parties reach a member.
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

// wait waits for d, because a fault has a duration.
func (r *rig) wait(d time.Duration) { recipetest.Pause(r.t, r.t.Context(), d, "fault") }

// until waits until cond holds, and reports whether it did within d.
func (r *rig) until(d time.Duration, cond func() bool) bool {
	for began := time.Now(); !cond(); r.wait(20 * time.Millisecond) {
		if time.Since(began) > d {
			return false
		}
	}
	return true
}

func (r *rig) leader() *etcdproc.Member { return r.cluster.FindLeader(r.t) }

// follower returns a member that does not lead.
func (r *rig) follower() *etcdproc.Member {
	leader := r.leader()
	members := slices.DeleteFunc(r.cluster.Members(), func(m *etcdproc.Member) bool {
		return m == leader
	})
	return members[r.rng.IntN(len(members))]
}

// heal ends the faults of all proxies.
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

// closeParties ends all parties and returns the ops that they and the process recorded.
func (r *rig) closeParties() ([]history.Op, error) {
	var errs []error
	r.foreign.Close()
	for _, p := range r.parties {
		errs = append(errs, p.Close())
	}
	if r.process != nil {
		errs = append(errs, r.process.finish())
	}
	return r.buried(r.rec.Ops()), errors.Join(errs...)
}

// buried adds ends to the holds and sessions of a killed process at the time of the kill, because
// it makes no calls after it.
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
			ops = append(ops, end(history.Op{Client: o.Client, Lease: o.Lease},
				history.SessionLost))
		}
		if o.Grants() && o.Outcome == history.OK {
			ops = append(ops, end(o, history.Lose))
		}
	}
	return ops
}
