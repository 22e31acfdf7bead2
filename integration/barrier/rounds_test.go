package barrier_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/session"
)

// TestRoundsCompleteWhileAnswersAreLost: rounds complete while answers are lost or late and streams
// break.
func TestRoundsCompleteWhileAnswersAreLost(t *testing.T) {
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
		c := newClient(t, gateway.Config{
			Endpoints:      []string{p.URL()},
			AttemptTimeout: 300 * time.Millisecond,
		})
		sessions[i] = newSession(t, c)
	}
	sometimes := func(k int) func(*faultproxy.Request) bool {
		return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.N(k) == 0 }
	}
	dropped := p.Add(faultproxy.Rule{Match: sometimes(5), Action: faultproxy.Drop})
	late := p.Add(faultproxy.Rule{
		Match:  sometimes(30),
		Action: faultproxy.DelayBefore(400 * time.Millisecond),
	})
	var called, passed [rounds + 1]atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c, d := barrier.NewCyclic(sessions[i], name+"-c", n),
				barrier.NewDouble(sessions[i], name+"-d", n)
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
	figure(t, "%d rounds of both kinds with %d answers dropped, %d requests late", rounds,
		dropped.Hits(), late.Hits())
	p.Clear()
	direct := newClient(t, gateway.Config{})
	pause(ctx, time.Second)
	if left := append(members(t, direct, name+"-c"),
		members(t, direct, name+"-d")...); len(left) > 0 {
		t.Errorf("ghosts: %v", left)
	}
}

// enterer is the other process of TestTwoProcessesEnterAndLeaveTogether.
var enterer = reexec.Register("enterer", enterRounds)

type place struct{ Endpoint, Name string }

func enterRounds(p place) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run := func() error {
		c, err := gateway.New(gateway.Config{Endpoints: []string{p.Endpoint}})
		if err != nil {
			return err
		}
		defer c.Close()
		s, err := session.New(ctx, c, nil)
		if err != nil {
			return err
		}
		defer s.Close(ctx)
		d := barrier.NewDouble(s, p.Name, 2)
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

func TestTwoProcessesEnterAndLeaveTogether(t *testing.T) {
	name, ctx := fresh(t), within(t, time.Minute)
	cmd := enterer.Command(ctx, place{cluster.Endpoints()[0], name})
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

// TestARoundMayHaveTheLargestNumberOfMembers: rounds with the largest number of members.
func TestARoundMayHaveTheLargestNumberOfMembers(t *testing.T) {
	const n = barrier.MaxParties
	sessions, name, ctx := several(t, 2), fresh(t), within(t, time.Minute)
	for round := int64(1); round <= 3; round++ {
		begin := time.Now()
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				if a, err := barrier.NewCyclic(sessions[i%2], name, n).Await(ctx); err != nil ||
					a.Round != round {
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
		done[i] = soon(func() error {
			_, err := barrier.NewCyclic(sessions[i%2], name, n).Await(c)
			return err
		})
		if i == 0 { // a call that has not joined yet when it ends breaks no round
			eventually(t, "join of the impatient", func() bool {
				return len(members(t, sessions[0].Client(), name)) == 1
			})
		}
	}
	eventually(t, "join", func() bool { return len(members(t, sessions[0].Client(), name)) == n-1 })
	cancel()
	for i, d := range done {
		if err := <-d; !errors.Is(err, barrier.ErrBroken) && i > 0 {
			t.Errorf("member %d: %v", i, err)
		}
	}
}
