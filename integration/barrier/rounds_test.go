package barrier_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/session"
)

// TestDoubleRounds: four sessions, and four goroutines of one session, enter and leave together,
// round after round.
func TestDoubleRounds(t *testing.T) {
	for _, tt := range []struct {
		name     string
		sessions int
	}{{"four sessions", 4}, {"one session", 1}} {
		t.Run(tt.name, func(t *testing.T) {
			const rounds, n = 200, 4
			sessions, name := several(t, tt.sessions), fresh(t)
			ctx := within(t, 2*time.Minute)
			var called, leaving [rounds + 1]atomic.Int64
			var all sync.WaitGroup
			begin := time.Now()
			for i := range n {
				d := barrier.NewDouble(sessions[i%len(sessions)], name, n)
				all.Go(func() {
					for round := int64(1); round <= rounds; round++ {
						pause(ctx, rand.N(3*time.Millisecond))
						called[round].Add(1)
						e, err := d.Enter(ctx)
						if err != nil {
							t.Error(err)
							return
						}
						if got := called[round].Load(); got != n || e.Round() != round {
							t.Errorf("let into round %d in %d when %d had called", e.Round(), round, got)
						}
						pause(ctx, rand.N(3*time.Millisecond))
						leaving[round].Add(1)
						if err := e.Leave(ctx); err != nil {
							t.Error(err)
							return
						}
						if got := leaving[round].Load(); got != n {
							t.Errorf("left round %d when %d were leaving", round, got)
						}
					}
				})
			}
			all.Wait()
			figure(t, "double barrier of %d, %d rounds: %v a round, pauses of 3 ms in it", n, rounds,
				(time.Since(begin) / rounds).Round(10*time.Microsecond))
			if left := members(t, sessions[0].Client(), name); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestDoubleReentry: a member that is still leaving enters again. With etcd's own recipe this
// fails.
func TestDoubleReentry(t *testing.T) {
	name := fresh(t)
	a, b := barrier.NewDouble(plain(t), name, 2), barrier.NewDouble(plain(t), name, 2)
	ctx := within(t, 20*time.Second)
	var first, other *barrier.Entry
	enter := func(d *barrier.Double, e **barrier.Entry) chan error {
		return soon(func() (err error) { *e, err = d.Enter(ctx); return err })
	}
	x, y := enter(a, &first), enter(b, &other)
	if err := errors.Join(<-x, <-y); err != nil {
		t.Fatal(err)
	}
	left := soon(func() error { return first.Leave(ctx) })
	waits(t, left, "Leave alone")
	var again, again2 *barrier.Entry
	x = enter(a, &again)
	waits(t, x, "Enter alone")
	waits(t, left, "Leave with a new round open")
	if err := errors.Join(other.Leave(ctx), <-left); err != nil {
		t.Error(err)
	}
	waits(t, x, "Enter alone")
	if err := errors.Join(<-enter(b, &again2), <-x); err != nil {
		t.Fatal(err)
	}
	if first.Round() != 1 || other.Round() != 1 || again.Round() != 2 || again2.Round() != 2 {
		t.Errorf("rounds %d %d %d %d", first.Round(), other.Round(), again.Round(), again2.Round())
	}
	x = soon(func() error { return again.Leave(ctx) })
	if err := errors.Join(again2.Leave(ctx), <-x); err != nil {
		t.Error(err)
	}
	if err := again.Leave(ctx); err != nil {
		t.Errorf("Leave again: %v", err)
	}
}

// TestDoubleCrowd: when more members wait than a round has, each round has exactly n.
func TestDoubleCrowd(t *testing.T) {
	const n, crowd = 3, 12
	sessions, name := several(t, 2), fresh(t)
	ctx := within(t, 30*time.Second)
	var mu sync.Mutex
	rounds := map[int64]int{}
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			e, err := barrier.NewDouble(sessions[i%2], name, n).Enter(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			rounds[e.Round()]++
			mu.Unlock()
			if err := e.Leave(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(rounds) != crowd/n {
		t.Errorf("rounds: %v", rounds)
	}
	for r, k := range rounds {
		if k != n {
			t.Errorf("round %d had %d", r, k)
		}
	}
}

// TestDoubleKilled: sessions are revoked at random points. No member passes without n live members,
// and none hangs. The member whose session was revoked enters again with a new session.
func TestDoubleKilled(t *testing.T) {
	const n, rounds = 3, 40
	name, killer := fresh(t), newClient(t, gateway.Config{})
	ctx := within(t, 2*time.Minute)
	var kills, entered atomic.Int64
	var mu sync.Mutex
	in := map[int64]int{} // number of members that passed into each round
	var all, others sync.WaitGroup
	mine, done := context.WithCancel(ctx) // for the killed member, which after the last round would wait alone
	others.Add(n - 1)
	all.Go(func() { others.Wait(); done() })
	for i := range n {
		ctx := ctx
		if i == 0 {
			ctx = mine
		}
		all.Go(func() {
			if i > 0 {
				defer others.Done()
			}
			c := newClient(t, gateway.Config{})
			s := newSession(t, c)
			var round int64
			for round < rounds && ctx.Err() == nil {
				var kill sync.WaitGroup
				if i == 0 && rand.N(3) == 0 {
					victim := s
					kills.Add(1)
					kill.Go(func() {
						pause(ctx, rand.N(8*time.Millisecond))
						if err := killer.Revoke(t.Context(), victim.Lease()); err != nil {
							t.Error(err)
						}
					})
				}
				pause(ctx, rand.N(3*time.Millisecond))
				e, err := barrier.NewDouble(s, name, n).Enter(ctx)
				if err == nil {
					round = e.Round()
					entered.Add(1)
					mu.Lock()
					in[round]++
					mu.Unlock()
					pause(ctx, rand.N(3*time.Millisecond))
					err = e.Leave(ctx)
				}
				kill.Wait()
				switch {
				case errors.Is(err, session.ErrLost):
				case mine.Err() != nil && errors.Is(err, context.Canceled):
					return
				case err != nil:
					t.Error(err)
					return
				}
				if i == 0 && !alive(ctx, killer, s) {
					s = newSession(t, c)
				}
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		t.Fatal("somebody hung")
	}
	for r, k := range in {
		if k > n || k < n-1 { // the Enter of the killed member may have returned only the loss
			t.Errorf("round %d had %d", r, k)
		}
	}
	figure(t, "double barrier of %d with %d sessions revoked at random points: %d entries in %d rounds",
		n, kills.Load(), entered.Load(), len(in))
}

// TestDoubleLost: a member is lost between Enter and Leave. The others wait in Leave until its
// session ends, its own Leave returns ErrNotHeld, and the next round is not affected.
func TestDoubleLost(t *testing.T) {
	for what, die := range map[string]func(ctx context.Context, c *gateway.Client, victim *session.Session, key string) error{
		"revoked": func(ctx context.Context, c *gateway.Client, victim *session.Session, _ string) error {
			return c.Revoke(ctx, victim.Lease())
		},
		"closed": func(ctx context.Context, _ *gateway.Client, victim *session.Session, _ string) error {
			return victim.Close(ctx)
		},
		"removed": func(ctx context.Context, c *gateway.Client, _ *session.Session, key string) error {
			_, err := c.Delete(ctx, key)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			name, sessions := fresh(t), several(t, 3)
			ctx := within(t, 20*time.Second)
			for round := int64(1); round <= 2; round++ {
				var entries [3]*barrier.Entry
				var entered, left [3]chan error
				for i, s := range sessions {
					entered[i] = soon(func() (err error) { entries[i], err = barrier.NewDouble(s, name, 3).Enter(ctx); return err })
				}
				for i, e := range entered {
					if err := <-e; err != nil || entries[i].Round() != round {
						t.Fatal(i, err)
					}
				}
				for i, e := range entries[:2] {
					left[i] = soon(func() error { return e.Leave(ctx) })
				}
				waits(t, left[0], "Leave before all")
				if round == 2 {
					left[2] = soon(func() error { return entries[2].Leave(ctx) })
					if err := errors.Join(<-left[0], <-left[1], <-left[2]); err != nil {
						t.Error(err)
					}
					continue
				}
				waits(t, left[1], "Leave before all")
				if err := die(ctx, sessions[0].Client(), sessions[2], entries[2].Key()); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(<-left[0], <-left[1]); err != nil {
					t.Errorf("Leave of the others: %v", err)
				}
				if err := entries[2].Leave(ctx); !errors.Is(err, session.ErrNotHeld) || !errors.Is(err, session.ErrLost) {
					t.Errorf("Leave of the one that died: %v", err)
				}
				if err := entries[2].Leave(ctx); !errors.Is(err, session.ErrNotHeld) {
					t.Errorf("Leave again: %v", err)
				}
				sessions[2] = plain(t)
			}
		})
	}
}

func alive(ctx context.Context, c *gateway.Client, s *session.Session) bool {
	resp, err := c.Get(ctx, session.DefaultRecordPrefix+s.Lease().String())
	return err == nil && len(resp.KVs) == 1
}

func epoch(t *testing.T, s *session.Session) int64 {
	t.Helper()
	resp, err := s.Client().Get(t.Context(), session.DefaultRecordPrefix+s.Lease().String())
	if err != nil || len(resp.KVs) == 0 {
		t.Fatal(err)
	}
	return resp.KVs[0].ModRevision
}

// TestCyclicRounds: members of four sessions pass rounds in which one stops waiting at random. All
// members see the same result of a round.
func TestCyclicRounds(t *testing.T) {
	const n, rounds = 4, 200
	sessions, name := several(t, n), fresh(t)
	ctx := within(t, 2*time.Minute)
	type result struct {
		arrival barrier.Arrival
		err     error
	}
	broken, passed := 0, 0
	begin := time.Now()
	for range rounds {
		var results [n]result
		var all sync.WaitGroup
		impatient := rand.N(2 * n) // in half of the rounds no member
		var gaveUp atomic.Bool
		before := epoch(t, sessions[impatient%n])
		for i := range n {
			all.Go(func() {
				mine, cancel := context.WithCancel(ctx)
				defer cancel()
				pause(ctx, rand.N(3*time.Millisecond))
				if i == impatient {
					defer time.AfterFunc(rand.N(4*time.Millisecond), cancel).Stop()
				}
				a, err := barrier.NewCyclic(sessions[i], name, n).Await(mine)
				results[i] = result{a, err}
				if i == impatient && err != nil {
					gaveUp.Store(true)
				}
			})
		}
		done := make(chan struct{})
		go func() { all.Wait(); close(done) }()
		// Members that join after the break wait in the next round, until a Reset breaks it.
		for open := true; open; {
			select {
			case <-done:
				open = false
			case <-time.After(20 * time.Millisecond):
				if !gaveUp.Load() {
					continue
				}
				if err := barrier.NewCyclic(sessions[0], name, n).Reset(ctx); err != nil {
					t.Fatal(err)
				}
			case <-ctx.Done():
				t.Fatal("somebody hangs")
			}
		}
		ok := 0
		for i, r := range results {
			switch {
			case r.err == nil:
				ok++
			case errors.Is(r.err, barrier.ErrBroken):
			case i == impatient && errors.Is(r.err, context.Canceled):
			default:
				t.Errorf("member %d: %v", i, r.err)
			}
		}
		switch {
		case ok == n:
			passed++
		case impatient < n && ok == 0:
			broken++
		case impatient < n && ok == n-1 && results[impatient].err != nil: // the round was full when it stopped waiting
			passed++
		default:
			t.Errorf("%d of %d passed, %d gave up: %v", ok, n, impatient, results)
		}
		if errors.Is(results[impatient%n].err, gateway.ErrUncertain) { // its join may be applied until the session has resolved it
			eventually(t, "settling", func() bool { return epoch(t, sessions[impatient%n]) > before })
		}
		eventually(t, "all to leave", func() bool { return len(members(t, sessions[0].Client(), name)) == 0 })
	}
	figure(t, "cyclic barrier of %d: %d rounds passed, %d broken, %v a round",
		n, passed, broken, (time.Since(begin) / rounds).Round(10*time.Microsecond))
	if broken == 0 || passed < rounds/4 {
		t.Error("too little happened")
	}
}

// TestCyclicBroken: for each way to break a round, all its members return ErrBroken, and the next
// round is not affected.
func TestCyclicBroken(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, name string, victim *session.Session, cancel func()){
		"cancelled": func(_ *testing.T, _ string, _ *session.Session, cancel func()) { cancel() },
		"revoked": func(t *testing.T, _ string, victim *session.Session, _ func()) {
			t.Helper()
			if err := newClient(t, gateway.Config{}).Revoke(t.Context(), victim.Lease()); err != nil {
				t.Error(err)
			}
		},
		"closed": func(t *testing.T, _ string, victim *session.Session, _ func()) {
			t.Helper()
			if err := victim.Close(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"removed": func(t *testing.T, name string, victim *session.Session, _ func()) {
			t.Helper()
			if _, err := newClient(t, gateway.Config{}).Delete(t.Context(), name+"/"+victim.Lease().String()); err != nil {
				t.Error(err)
			}
		},
		"reset": func(t *testing.T, name string, _ *session.Session, _ func()) {
			t.Helper()
			if err := barrier.NewCyclic(plain(t), name, 4).Reset(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			place, sessions := fresh(t), several(t, 4)
			ctx := within(t, 20*time.Second)
			impatient, cancel := context.WithCancel(ctx)
			await := func(ctx context.Context, i int) chan error {
				return soon(func() error { _, err := barrier.NewCyclic(sessions[i], place, 4).Await(ctx); return err })
			}
			first, second, victim := await(ctx, 0), await(ctx, 1), await(impatient, 2)
			eventually(t, "join", func() bool { return len(members(t, sessions[0].Client(), place)) == 3 })
			waits(t, first, "Await")
			begin := time.Now()
			fail(t, place, sessions[2], cancel)
			for _, other := range []chan error{first, second} {
				if err := <-other; !errors.Is(err, barrier.ErrBroken) {
					t.Errorf("Await of another: %v", err)
				}
			}
			took := time.Since(begin)
			err := <-victim
			want := map[string]error{"cancelled": context.Canceled, "removed": session.ErrKeyDeleted, "reset": barrier.ErrBroken}[name]
			if want == nil {
				want = session.ErrLost
			}
			if !errors.Is(err, want) {
				t.Errorf("Await of the victim: %v", err)
			}
			figure(t, "%s: the others knew after %v", name, took.Round(10*time.Microsecond))
			cancel()
			eventually(t, "leave", func() bool { return len(members(t, sessions[0].Client(), place)) == 0 })
			sessions[2] = plain(t)
			var next []chan error
			for i := range sessions {
				next = append(next, await(ctx, i))
			}
			for _, done := range next {
				if err := <-done; err != nil {
					t.Errorf("the next round: %v", err)
				}
			}
		})
	}
}

// TestCyclicTogether: many members of one session stop waiting at once.
func TestCyclicTogether(t *testing.T) {
	const n = 20
	name, s, other := fresh(t), plain(t), plain(t)
	ctx := within(t, 20*time.Second)
	impatient, cancel := context.WithCancel(ctx)
	await := func(ctx context.Context, s *session.Session) chan error {
		return soon(func() error { _, err := barrier.NewCyclic(s, name, n).Await(ctx); return err })
	}
	patient := await(ctx, other)
	var all []chan error
	for range n - 2 {
		all = append(all, await(impatient, s))
	}
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == n-1 })
	cancel()
	for _, done := range all {
		if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, barrier.ErrBroken) {
			t.Errorf("Await of one that gave up: %v", err)
		}
	}
	if err := <-patient; !errors.Is(err, barrier.ErrBroken) {
		t.Errorf("Await of the other: %v", err)
	}
	eventually(t, "leave", func() bool { return len(members(t, s.Client(), name)) == 0 })
	all = all[:0]
	for range n {
		all = append(all, await(ctx, s))
	}
	for _, done := range all {
		if err := <-done; err != nil {
			t.Errorf("the next round: %v", err)
		}
	}
}

// TestCompletedByAnother: another member completes the round when the n-th joins and then does
// nothing, as a stopped process.
func TestCompletedByAnother(t *testing.T) {
	name, s, stopped := fresh(t), plain(t), plain(t)
	ctx := within(t, 20*time.Second)
	done := soon(func() error { _, err := barrier.NewCyclic(s, name, 2).Await(ctx); return err })
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == 1 })
	begin := time.Now()
	key := name + "/" + stopped.Lease().String()
	if _, err := s.Client().Put(ctx, key, nil, gateway.WithLease(stopped.Lease())); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	figure(t, "a round whose last member stopped at once was completed after %v", time.Since(begin).Round(time.Millisecond))
}

// TestRoundsUnderFaults: rounds complete while answers are lost or late and streams break.
func TestRoundsUnderFaults(t *testing.T) {
	t.Parallel()
	const n, rounds = 3, 60
	p, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	name := fresh(t)
	ctx := within(t, 2*time.Minute)
	sessions := make([]*session.Session, n)
	for i := range sessions {
		c := newClient(t, gateway.Config{Endpoints: []string{p.URL()}, AttemptTimeout: 300 * time.Millisecond})
		sessions[i] = newSession(t, c)
	}
	sometimes := func(k int) func(*faultproxy.Request) bool {
		return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.N(k) == 0 }
	}
	dropped := p.Add(faultproxy.Rule{Match: sometimes(5), Action: faultproxy.Drop})
	late := p.Add(faultproxy.Rule{Match: sometimes(30), Action: faultproxy.DelayBefore(400 * time.Millisecond)})
	var called, passed [rounds + 1]atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c, d := barrier.NewCyclic(sessions[i], name+"-c", n), barrier.NewDouble(sessions[i], name+"-d", n)
			for round := int64(1); round <= rounds; round++ {
				called[round].Add(1)
				a, err := c.Await(ctx)
				if err != nil || a.Round != round || called[round].Load() != n {
					t.Errorf("Await: %v, %v in round %d", a, err, round)
					return
				}
				e, err := d.Enter(ctx)
				if err != nil || e.Round() != round {
					t.Errorf("Enter: %v in round %d", err, round)
					return
				}
				passed[round].Add(1)
				if err := e.Leave(ctx); err != nil || passed[round].Load() != n {
					t.Errorf("Leave: %v in round %d", err, round)
					return
				}
			}
		})
	}
	all.Wait()
	figure(t, "%d rounds of both kinds with %d answers dropped, %d requests late", rounds, dropped.Hits(), late.Hits())
	p.Clear()
	direct := newClient(t, gateway.Config{})
	pause(ctx, time.Second)
	if left := append(members(t, direct, name+"-c"), members(t, direct, name+"-d")...); len(left) > 0 {
		t.Errorf("ghosts: %v", left)
	}
}

const childEndpoint = "HOLDFAST_BARRIER_CHILD"

// child is the other process of TestTwoProcesses.
func child() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run := func() error {
		c, err := gateway.New(gateway.Config{Endpoints: []string{os.Getenv(childEndpoint)}})
		if err != nil {
			return err
		}
		defer c.Close()
		s, err := session.New(ctx, c, nil)
		if err != nil {
			return err
		}
		defer s.Close(ctx)
		d := barrier.NewDouble(s, os.Getenv("HOLDFAST_BARRIER_NAME"), 2)
		for range processRounds {
			e, err := d.Enter(ctx)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintln(os.Stdout, "in", e.Round())
			if err := e.Leave(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stdout, err)
		return 1
	}
	return 0
}

const processRounds = 50

func TestTwoProcesses(t *testing.T) {
	name, ctx := fresh(t), within(t, time.Minute)
	cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this test
	cmd.Env = append(os.Environ(), childEndpoint+"="+cluster.Endpoints()[0], "HOLDFAST_BARRIER_NAME="+name)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := barrier.NewDouble(plain(t), name, 2)
	for round := range processRounds {
		e, err := d.Enter(ctx)
		if err != nil || e.Round() != int64(round)+1 {
			t.Fatal(round, err)
		}
		if err := e.Leave(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err, out.String())
	}
	lines := 0
	for s := bufio.NewScanner(strings.NewReader(out.String())); s.Scan(); {
		if lines++; s.Text() != fmt.Sprint("in ", lines) {
			t.Errorf("line %d: %s", lines, s.Text())
		}
	}
	if lines != processRounds {
		t.Errorf("%d rounds", lines)
	}
}

// TestMaxParties: rounds with the largest number of members.
func TestMaxParties(t *testing.T) {
	const n = barrier.MaxParties
	sessions, name, ctx := several(t, 2), fresh(t), within(t, time.Minute)
	for round := int64(1); round <= 3; round++ {
		begin := time.Now()
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				if a, err := barrier.NewCyclic(sessions[i%2], name, n).Await(ctx); err != nil || a.Round != round {
					t.Errorf("round %d: %+v, %v", round, a, err)
				}
			})
		}
		all.Wait()
		figure(t, "a round of %d: %v", n, time.Since(begin).Round(time.Millisecond))
	}
	impatient, cancel := context.WithCancel(ctx)
	done := make([]chan error, n-1)
	for i := range done {
		c := ctx
		if i == 0 {
			c = impatient
		}
		done[i] = soon(func() error { _, err := barrier.NewCyclic(sessions[i%2], name, n).Await(c); return err })
	}
	eventually(t, "join", func() bool { return len(members(t, sessions[0].Client(), name)) == n-1 })
	cancel()
	for i, d := range done {
		if err := <-d; !errors.Is(err, barrier.ErrBroken) && i > 0 {
			t.Errorf("member %d: %v", i, err)
		}
	}
}
