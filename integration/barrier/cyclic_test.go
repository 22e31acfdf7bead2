package barrier_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// TestMembersOfARoundSeeTheSameResult: members of four sessions pass rounds in which one stops
// waiting at random. All members see the same result of a round.
func TestMembersOfARoundSeeTheSameResult(t *testing.T) {
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
		// the round was full when it stopped waiting
		case impatient < n && ok == n-1 && results[impatient].err != nil:
			passed++
		default:
			t.Errorf("%d of %d passed, %d gave up: %v", ok, n, impatient, results)
		}
		// its join may be applied until the session has resolved it
		if errors.Is(results[impatient%n].err, gateway.ErrUncertain) {
			eventually(t, "settling", func() bool {
				return epoch(t, sessions[impatient%n]) > before
			})
		}
		eventually(t, "all to leave", func() bool {
			return len(members(t, sessions[0].Client(), name)) == 0
		})
	}
	figure(t, "cyclic barrier of %d: %d rounds passed, %d broken, %v a round",
		n, passed, broken, (time.Since(begin) / rounds).Round(10*time.Microsecond))
	if broken == 0 || passed < rounds/4 {
		t.Error("too little happened")
	}
}

// TestABrokenRoundReturnsErrBrokenToItsMembers: for each way to break a round, all its members
// return ErrBroken, and the next round is not affected.
func TestABrokenRoundReturnsErrBrokenToItsMembers(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, name string, victim *session.Session,
		cancel func()){
		"cancelled": func(_ *testing.T, _ string, _ *session.Session, cancel func()) { cancel() },
		"revoked": func(t *testing.T, _ string, victim *session.Session, _ func()) {
			t.Helper()
			if err := newClient(t, gateway.Config{}).Revoke(t.Context(),
				victim.Lease()); err != nil {
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
			if _, err := newClient(t, gateway.Config{}).Delete(t.Context(),
				name+"/"+victim.Lease().String()); err != nil {
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
				return soon(func() error {
					_, err := barrier.NewCyclic(sessions[i], place, 4).Await(ctx)
					return err
				})
			}
			first, second, victim := await(ctx, 0), await(ctx, 1), await(impatient, 2)
			eventually(t, "join", func() bool {
				return len(members(t, sessions[0].Client(), place)) == 3
			})
			waits(t, sessions[0].Client(), first, "Await")
			begin := time.Now()
			fail(t, place, sessions[2], cancel)
			for _, other := range []chan error{first, second} {
				if err := <-other; !errors.Is(err, barrier.ErrBroken) {
					t.Errorf("Await of another: %v", err)
				}
			}
			took := time.Since(begin)
			err := <-victim
			want := map[string]error{
				"cancelled": context.Canceled,
				"removed":   session.ErrKeyDeleted, "reset": barrier.ErrBroken,
			}[name]
			if want == nil {
				want = session.ErrLost
			}
			if !errors.Is(err, want) {
				t.Errorf("Await of the victim: %v", err)
			}
			figure(t, "%s: the others knew after %v", name, took.Round(10*time.Microsecond))
			cancel()
			eventually(t, "leave", func() bool {
				return len(members(t, sessions[0].Client(), place)) == 0
			})
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

// TestManyMembersMayStopWaitingAtOnce: many members of one session stop waiting at once.
func TestManyMembersMayStopWaitingAtOnce(t *testing.T) {
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

// TestAnotherMemberCompletesTheRoundOfAStoppedOne: another member completes the round when the n-th
// joins and then does nothing, as a stopped process.
func TestAnotherMemberCompletesTheRoundOfAStoppedOne(t *testing.T) {
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
	figure(t, "a round whose last member stopped at once was completed after %v",
		time.Since(begin).Round(time.Millisecond))
}
