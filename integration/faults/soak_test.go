package faults_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// soakVar is the duration of TestSoak.
const soakVar = "HOLDFAST_SOAK"

// TestSoak draws random faults, several for each cluster, on all versions in ETCD_VERSIONS, for a
// given duration. Each round has a seed of its own, which is printed. With that seed as
// HOLDFAST_FAULTS_SEED, the first round makes the same choices again, but the machine may schedule
// it differently. The test continues after a round that fails and after one that is void. A void
// round counts neither as a pass nor as a failure.
func TestSoak(t *testing.T) {
	text := os.Getenv(soakVar)
	if text == "" {
		t.Skip("a soak is asked for with " + soakVar)
	}
	duration, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range etcdproc.Versions() {
		if _, err := etcdproc.Binary(version); err != nil { // so that no round builds it
			t.Fatal(err)
		}
	}
	first := seed(t)
	sum := tally{faults: map[string]int{}}
	began := time.Now()
	for round := uint64(0); round == 0 || time.Since(began) < duration; round++ {
		f, version := draw(first + round)
		var res *result
		var void string
		ok := t.Run(fmt.Sprintf("%d", first+round), func(t *testing.T) {
			t.Logf("HOLDFAST_FAULTS_SEED=%d: etcd %s, TTL %v, %s", first+round, version,
				f.setup.ttl, f.what)
			defer limit(roundLimit)()
			if res, void = run(t, f, version, first+round); void != "" {
				t.Skipf("void: %s", void)
			}
		})
		sum.add(f, version, res, ok, void != "")
		t.Logf("soak: seeds %d to %d, %v: %s", first, first+round,
			time.Since(began).Round(time.Second), &sum)
	}
	if sum.void == sum.rounds {
		t.Error("all rounds were void")
	}
}

// roundLimit is more than any round takes: a hundred seconds of faults, the searches, and the
// waits.
const roundLimit = 15 * time.Minute

// limit ends the process and prints the stacks of all goroutines if over is not called in time.
func limit(d time.Duration) (over func()) {
	t := time.AfterFunc(d, func() { panic(fmt.Sprintf("a round has not ended after %v", d)) })
	return func() { t.Stop() }
}

// tally is the sum of a soak.
type tally struct {
	rounds, void, failed            int
	operations, unknown, violations int
	faults                          map[string]int // by name, and by version
}

func (s *tally) add(f fault, version string, res *result, ok, void bool) {
	s.rounds++
	switch {
	case !ok:
		s.failed++
	case void:
		s.void++
	}
	if res == nil {
		return
	}
	s.operations += len(res.ops)
	s.unknown += res.unknown
	s.violations += len(res.Violations)
	s.faults[version]++
	for name := range strings.SplitSeq(f.what, ", ") {
		s.faults[name]++
	}
}

func (s *tally) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.faults)) {
		all = append(all, fmt.Sprintf("%s %d", name, s.faults[name]))
	}
	return fmt.Sprintf("%d rounds, %d of them void, %d failed; %d operations, %d of unknown fate, "+
		"%d violations; %s",
		s.rounds, s.void, s.failed, s.operations, s.unknown, s.violations, strings.Join(all, ", "))
}

// draw returns a fault that is made of several faults.
func draw(seed uint64) (fault, string) {
	rng := rand.New(rand.NewPCG(seed, 0))
	pick := func(all ...string) string { return all[rng.IntN(len(all))] }
	version := pick(etcdproc.Versions()...)
	f := fault{
		name:  "soak",
		setup: setup{ttl: []time.Duration{3, 5, 8, 15}[rng.IntN(4)] * time.Second},
	}
	members := []string{"F1", "F2", "F4", "F5", "F6", "F7", "F15"}
	var names []string
	switch rng.IntN(4) {
	case 0: // without others, because its checks are less strict
		names = []string{"F3", "F3"}
		f.setup.idle = 10
	case 1:
		f.setup.process = true
		names = append(names, pick("F12", "F18"), pick(members...), pick("F12", "F18"),
			pick("F13", pick(members...)))
		f.setup.ttl = min(f.setup.ttl, 5*time.Second)
	case 2:
		f.setup.http, f.setup.password, f.setup.tokenTTL = true, "correct horse", 3*time.Second
		names = append(names, "F17", pick(members...), pick("F10", "F16"), pick(members...), "F17")
	default:
		f.setup.http, f.setup.attempt = true, 4*time.Second
		clients := []string{"F8", "F9", "F10", "F11", "F14", "F16"}
		for range 5 {
			names = append(names, pick(pick(members...), pick(clients...)))
		}
	}
	f.what = strings.Join(names, ", ")
	f.inject = func(r *rig) {
		for _, name := range names {
			part := all()[slices.IndexFunc(all(), func(f fault) bool { return f.name == name })]
			part.inject(r)
			r.heal()
			r.check(r.cluster.WaitHealthy(r.t.Context()))
			r.wait(time.Duration(1+r.rng.IntN(4)) * time.Second)
		}
		r.notes = nil // they belong to single faults, which the matrix judges
	}
	return f, version
}

// TestASeedDrawsTheSameFaults: a seed always draws the same faults, and every fault is drawn by
// some seed.
func TestASeedDrawsTheSameFaults(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(1000) {
		a, version := draw(seed)
		b, again := draw(seed)
		if a.what != b.what || a.setup != b.setup || version != again {
			t.Fatalf("seed %d: %s on %s, then %s on %s", seed, a.what, version, b.what, again)
		}
		for name := range strings.SplitSeq(a.what, ", ") {
			seen[name] = true
		}
	}
	for _, f := range all() {
		if !seen[f.name] {
			t.Errorf("%s is never drawn", f.name)
		}
	}
}
