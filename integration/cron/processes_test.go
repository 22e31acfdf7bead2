package cron_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// replicas are the processes of the tests.
var replicas = reexec.Register("replica", child)

// The full size of the test of processes: the number of ticks, and the most by which a clock is
// wrong.
const (
	ticksVar = "HOLDFAST_CRON_TICKS"
	shiftVar = "HOLDFAST_CRON_SHIFT"
)

const (
	processes = 5
	period    = 50 * time.Millisecond
	maxWork   = 20 * time.Millisecond
	// childTTL is the time after which a killed replica is replaced.
	childTTL = 2 * time.Second
)

// arguments of a child.
type arguments struct {
	Endpoint, Name string
	Shift          time.Duration // of the clock
	Locks          bool          // a lock for each tick, instead of a schedule
}

// message is a line that a child prints when it runs a tick.
type message struct {
	PID       int
	Scheduled time.Time
	Attempt   int
	Late      time.Duration // at its own clock
}

// child runs ticks until its standard input ends.
func child(args arguments) int {
	ctx, cancel := context.WithCancel(clock.Shift(context.Background(), args.Shift))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	c, err := gateway.New(gateway.Config{Endpoints: []string{args.Endpoint}})
	if err == nil {
		runs := withSchedule
		if args.Locks {
			runs = withLocks
		}
		err = runs(ctx, c, args.Name)
	}
	if ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// done is the key of the guarded write of a tick. Its version is the number of times that the write
// was applied.
func done(name string, tick time.Time) string {
	return name + "-done/" + strconv.FormatInt(tick.UnixNano(), 10)
}

// options are the sessions of the children.
var options = &session.Options{TTL: childTTL, AllowShortTTL: true}

func withSchedule(ctx context.Context, c *gateway.Client, name string) error {
	out := json.NewEncoder(os.Stdout)
	return cron.New(name, cron.Every(period), &cron.Options{
		Missed: cron.MissedAll, MaxAttempts: 1000, Session: options,
	}).Run(ctx, c, func(ctx context.Context, tick *cron.Tick) error {
		_ = out.Encode(message{
			os.Getpid(), tick.Scheduled(), tick.Attempt(), clock.Wall(ctx).Sub(tick.Scheduled()),
		})
		select { // the work
		case <-time.After(rand.N(maxWork)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return tick.Complete(ctx, gateway.OpPut(done(name, tick.Scheduled()), nil))
	})
}

// withLocks is the way of go-co-op/gocron#841: each process has a clock, and tries to acquire a
// lock when a tick is due.
func withLocks(ctx context.Context, c *gateway.Client, name string) error {
	out := json.NewEncoder(os.Stdout)
	return session.Run(ctx, c, options, func(ctx context.Context, s *session.Session) error {
		for {
			now := clock.Wall(ctx)
			tick := cron.Every(period).Next(now)
			select {
			case <-time.After(tick.Sub(now)):
			case <-ctx.Done():
				return ctx.Err()
			}
			lock, err := mutex.New(s, name, nil).TryLock(ctx)
			if err != nil {
				continue // another process has it
			}
			_ = out.Encode(message{PID: os.Getpid(), Scheduled: tick})
			_, _ = lock.Txn(ctx, gateway.Txn{
				Then: []gateway.Op{gateway.OpPut(done(name, tick), nil)},
			})
			_ = lock.Unlock(ctx)
		}
	})
}

// group is the processes of a test.
type group struct {
	t        *testing.T
	args     arguments
	maxShift time.Duration
	messages chan message
	procs    map[int]*process
	readers  sync.WaitGroup
}

type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func newGroup(t *testing.T, args arguments, maxShift time.Duration) *group {
	t.Helper()
	args.Endpoint = cluster.Endpoints()[0]
	g := &group{
		t: t, args: args, maxShift: maxShift, messages: make(chan message, 100_000),
		procs: map[int]*process{},
	}
	t.Cleanup(g.stop)
	for range processes {
		g.start()
	}
	return g
}

// start starts a process with a clock that is wrong.
func (g *group) start() {
	g.t.Helper()
	args := g.args
	args.Shift = rand.N(2*g.maxShift) - g.maxShift
	p := &process{cmd: replicas.Command(context.Background(), args)}
	in, err := p.cmd.StdinPipe() // a process ends when its standard input does
	if err != nil {
		g.t.Fatal(err)
	}
	p.in = in
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.procs[p.cmd.Process.Pid] = p
	g.readers.Go(func() {
		for d := json.NewDecoder(out); ; {
			var m message
			if err := d.Decode(&m); err != nil {
				return // ended
			}
			g.messages <- m
		}
	})
}

// kill kills a process and starts another.
func (g *group) kill(pid int) {
	p := g.procs[pid]
	if p == nil {
		return
	}
	delete(g.procs, pid)
	_ = p.cmd.Process.Kill()
	_ = p.in.Close()
	_ = p.cmd.Wait()
	g.start()
}

// freeze stops a process for longer than its lease.
func (g *group) freeze(pid int) {
	if p := g.procs[pid]; p != nil {
		_ = p.cmd.Process.Signal(syscall.SIGSTOP)
		time.AfterFunc(childTTL+time.Second, p.thaw)
	}
}

// thaw lets a process continue, if it has not ended.
func (p *process) thaw() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// stop lets all processes end.
func (g *group) stop() {
	for _, p := range g.procs {
		_ = p.in.Close()
		p.thaw()
	}
	g.readers.Wait()
	for pid, p := range g.procs {
		delete(g.procs, pid)
		if err := p.cmd.Wait(); err != nil {
			g.t.Errorf("a process: %v", err)
		}
	}
}

// writes returns the times of the guarded writes, in order, and how many were applied more than
// once.
func (g *group) writes() (times []time.Time, double int) {
	g.t.Helper()
	c := newClient(g.t, gateway.Config{})
	prefix := g.args.Name + "-done/"
	resp, err := c.Get(within(g.t, time.Minute), prefix, gateway.Prefix())
	if err != nil {
		g.t.Fatal(err)
	}
	for _, kv := range resp.KVs {
		ns, err := strconv.ParseInt(kv.Key[len(prefix):], 10, 64)
		if err != nil {
			g.t.Fatal(err)
		}
		times = append(times, time.Unix(0, ns).UTC())
		if kv.Version > 1 {
			double++
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times, double
}

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

// TestProcesses: the process that runs a tick is killed or frozen at random moments, and the clocks
// are wrong. The guarded write of each tick is applied once.
func TestProcesses(t *testing.T) {
	t.Parallel()
	wanted := setting(t, ticksVar, 150, strconv.Atoi)
	maxShift := setting(t, shiftVar, 500*time.Millisecond, time.ParseDuration)
	g := newGroup(t, arguments{Name: fresh(t)}, maxShift)
	seen := map[time.Time]bool{}
	var late []time.Duration
	attempts, kills, freezes, armed := 0, 0, 0, false
	fault := time.NewTimer(time.Second)
	defer fault.Stop()
	for len(seen) < wanted {
		select {
		case <-fault.C:
			armed = true
			continue
		case <-time.After(time.Minute + 2*maxShift):
			t.Fatal("no tick runs")
		case m := <-g.messages:
			seen[m.Scheduled] = true
			if m.Attempt == 1 {
				late = append(late, m.Late)
			}
			attempts++
			switch {
			case !armed:
				continue
			case kills <= freezes: // in the midst of the tick
				kills++
				g.kill(m.PID)
			default:
				freezes++
				g.freeze(m.PID)
			}
			armed = false
			fault.Reset(childTTL + time.Second)
		}
	}
	g.stop()
	times, double := g.writes()
	lost := 0
	for i := 1; i < len(times); i++ {
		lost += int(times[i].Sub(times[i-1])/period) - 1
	}
	slices.Sort(late)
	figure(t, "%d ticks, %d attempts, %d processes killed, %d frozen, clocks wrong by up to %v: %d lost, %d double; "+
		"late %v (median), %v (99 %%)", len(times), attempts, kills, freezes, maxShift, lost, double,
		late[len(late)/2].Round(time.Millisecond), late[len(late)*99/100].Round(time.Millisecond))
	if lost != 0 || double != 0 || len(times) < wanted-1 { // the last one may have been stopped
		t.Errorf("%d ticks, %d lost, %d double", len(times), lost, double)
	}
}

// TestALockPerTickRunsTicksTwice is the control: with a lock for each tick in place of a schedule,
// the same check finds ticks that ran more than once, although nothing fails.
func TestALockPerTickRunsTicksTwice(t *testing.T) {
	t.Parallel()
	g := newGroup(t, arguments{Name: fresh(t), Locks: true}, 500*time.Millisecond)
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
