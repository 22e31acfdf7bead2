package cron_test

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faults/machine"
)

// The full size of the test of processes: the number of ticks, and the most by which a clock is
// wrong.
const (
	ticksVar = "HOLDFAST_CRON_TICKS"
	shiftVar = "HOLDFAST_CRON_SHIFT"
)

// setting returns the value of an environment variable, or the default.
func setting[T any](t *testing.T, name string, otherwise T, parse func(string) (T, error)) T {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	value, err := parse(v)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// The promised times: how late a tick starts without faults, and how late an attempt at a tick
// follows one whose process was killed.
const (
	maxLate  = 100 * time.Millisecond
	maxRetry = childTTL + time.Second
)

// The faults, one after the other. Each but the last one hits the process that runs a tick.
const (
	killed = iota
	frozen
	cutOff
	leaderKilled
	kinds
)

// trouble breaks a group again and again.
type trouble struct {
	*group
	counts [kinds]int
	begin  *time.Timer // the next fault
	armed  bool        // the next tick meets it
	end    *time.Timer
	undo   func()

	killed  message // the last one of a killed process
	at      time.Time
	retries []time.Duration // from a kill to the next attempt
}

func newTrouble(g *group) *trouble {
	// Both timers are started when they are needed.
	begin, end := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	begin.Stop()
	end.Stop()
	return &trouble{group: g, begin: begin, end: end}
}

func (f *trouble) total() (n int) {
	for _, c := range f.counts {
		n += c
	}
	return n
}

// met is called in the midst of a tick.
func (f *trouble) met(m message) {
	f.t.Helper()
	if !f.at.IsZero() && !m.Scheduled.Before(f.killed.Scheduled) {
		if m.Scheduled.Equal(f.killed.Scheduled) { // else the kill came after the end of the tick
			f.retries = append(f.retries, time.Since(f.at))
		}
		f.at = time.Time{}
	}
	p := f.procs[m.PID]
	if !f.armed || p == nil {
		return
	}
	f.armed = false
	kind := f.total() % kinds
	f.counts[kind]++
	f.undo = func() {}
	switch kind {
	case killed:
		f.killed, f.at = m, time.Now()
		f.kill(m.PID)
	case frozen:
		p.freeze()
		f.undo = p.thaw
	case cutOff:
		p.cut()
		f.undo = func() { f.heal(p) }
	case leaderKilled:
		leader := f.etcd.FindLeader(f.t)
		if err := leader.Kill(); err != nil {
			f.t.Fatal(err)
		}
		f.undo = func() {
			if err := leader.Restart(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	f.end.Reset(childTTL + time.Second)
}

// TestProcesses: the process that runs a tick is killed, frozen or cut off from etcd at random
// moments, leaders of etcd are killed, and the clocks are wrong. The guarded write of each tick is
// applied once. It is not parallel, because it measures how late ticks are.
func TestProcesses(t *testing.T) {
	wanted := setting(t, ticksVar, 150, strconv.Atoi)
	maxShift := setting(t, shiftVar, 500*time.Millisecond, time.ParseDuration)
	stop := sync.OnceValue(machine.Watch().Stop)
	t.Cleanup(func() { stop() })
	etcd := etcdtest.Start(t, &etcdproc.Options{
		Version: etcdproc.Versions()[0], Members: 3, UnsafeNoFsync: true,
		ExtraArgs: []string{"--quota-backend-bytes=1073741824"},
	})
	f := newTrouble(newGroup(t, etcd, arguments{Name: fresh(t)}, maxShift))
	calm := max(50, wanted/10) // ticks without faults
	seen := map[time.Time]bool{}
	var late []time.Duration
	attempts := 0
	for len(seen) < wanted || f.total() < kinds || f.undo != nil {
		select {
		case <-f.begin.C:
			f.armed = true
		case <-f.end.C:
			f.undo()
			f.undo = nil
			f.begin.Reset(time.Second)
		case m := <-f.messages:
			attempts++
			seen[m.Scheduled] = true
			switch {
			case len(seen) <= calm:
				late = append(late, m.Late)
			case f.counts[killed] == 0:
				f.armed = true // the first one
			}
			f.met(m)
		case <-time.After(time.Minute + 2*maxShift):
			t.Fatal("no tick runs")
		}
	}
	f.stop()
	times, double := f.writes()
	lost := 0
	for i := 1; i < len(times); i++ {
		lost += int(times[i].Sub(times[i-1])/period) - 1
	}
	slices.Sort(late)
	p99 := late[len(late)*99/100]
	figure(t, "%d ticks, %d attempts, clocks wrong by up to %v; %d processes killed, %d frozen, "+
		"%d cut off, %d leaders killed: %d lost, %d double; without faults late by %v (median), "+
		"%v (99 %%); tried again after a kill in %v",
		len(times), attempts, maxShift, f.counts[killed], f.counts[frozen], f.counts[cutOff],
		f.counts[leaderKilled], lost, double, late[len(late)/2].Round(time.Millisecond),
		p99.Round(time.Millisecond), f.retries)
	if lost != 0 || double != 0 || len(times) < wanted-1 { // the last one may have been stopped
		t.Errorf("%d ticks, %d lost, %d double", len(times), lost, double)
	}
	var tooLate []string
	if p99 > maxLate {
		tooLate = append(tooLate, "a tick is late by "+p99.String())
	}
	for _, d := range f.retries {
		if d > maxRetry {
			tooLate = append(tooLate, "tried again after "+d.String())
		}
	}
	failures, void := machine.Judge(nil, tooLate, stop().Busy())
	for _, what := range failures {
		t.Error(what)
	}
	if void != "" {
		t.Skipf("void: %s", void)
	}
}

// TestALockPerTickRunsTicksTwice is the control: with a lock for each tick in place of a schedule,
// the same check finds ticks that ran more than once, although nothing fails.
func TestALockPerTickRunsTicksTwice(t *testing.T) {
	t.Parallel()
	g := newGroup(t, cluster.Cluster, arguments{Name: fresh(t), Locks: true}, 500*time.Millisecond)
	for range 100 {
		select {
		case <-g.messages:
		case <-time.After(time.Minute):
			t.Fatal("no tick runs")
		}
	}
	g.stop()
	times, double := g.writes()
	figure(t, "a lock per tick: %d ticks, %d double", len(times), double)
	if double == 0 {
		t.Error("no tick ran twice; the test could not find any")
	}
}
