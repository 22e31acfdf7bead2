package election_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/session"
)

func newHTTPProxy(tb testing.TB) *faultproxy.HTTPProxy {
	tb.Helper()
	p, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// sometimes matches one in n of the requests that change keys.
func sometimes(n int) func(*faultproxy.Request) bool {
	return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.N(n) == 0 }
}

// TestGuaranteesHoldWhileAnswersAreLost: while answers are lost, and requests arrive later than
// their repetitions, one candidate leads at a time, fences grow, every Proclaim counts and no
// candidate remains in the line.
func TestGuaranteesHoldWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	const drops = 200
	p := newHTTPProxy(t)
	direct := newClient(t, gateway.Config{})
	onlooker := newSession(t, direct, nil)
	name := fresh(t)
	observe(t, onlooker, name)
	var sessions []*session.Session
	for range 4 {
		c := newClient(t, gateway.Config{
			Endpoints:      []string{p.URL()},
			AttemptTimeout: 300 * time.Millisecond,
		})
		sessions = append(sessions, newSession(t, c, &session.Options{TTL: 60 * time.Second}))
	}
	dropped := p.Add(faultproxy.Rule{Match: sometimes(5), Action: faultproxy.Drop})
	hung := p.Add(faultproxy.Rule{Match: sometimes(60), Action: faultproxy.Hang})
	late := p.Add(faultproxy.Rule{
		Match:  sometimes(20),
		Action: faultproxy.DelayBefore(600 * time.Millisecond),
	})

	var inside, proclaims, cutOff int
	var fences []int64
	var all sync.WaitGroup
	for i := range 8 {
		e := election.New(sessions[i%len(sessions)], name, nil)
		all.Go(func() {
			for round := 0; dropped.Hits() < drops; round++ {
				value := fmt.Sprintf("%d %d ", i, round)
				term, err := e.Campaign(t.Context(), value+"0")
				if err != nil {
					t.Error(err)
					return
				}
				if inside++; inside != 1 {
					t.Errorf("%d lead", inside)
				}
				fences = append(fences, term.Fence())
				for n := range 3 {
					ctx, cancel := context.WithTimeout(t.Context(),
						time.Duration(1+rand.N(200))*time.Millisecond)
					switch err := term.Proclaim(ctx, fmt.Sprint(value, "cut off ", n)); {
					case err != nil && ctx.Err() == nil:
						t.Errorf("Proclaim = %v", err)
					case err != nil:
						cutOff++
					}
					cancel()
					want := fmt.Sprint(value, n)
					if err := term.Proclaim(t.Context(), want); err != nil {
						t.Errorf("Proclaim = %v", err)
					}
					proclaims++
					if n == 1 {
						pause(t, t.Context(), time.Duration(rand.N(20))*time.Millisecond,
							"late requests")
					}
					leader, err := election.New(onlooker, name, nil).Leader(t.Context())
					if err != nil || leader.Value != want || leader.Fence != term.Fence() {
						t.Errorf("Leader = %+v, %v, want %q", leader, err, want)
					}
				}
				inside--
				if err := term.Resign(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	figure(t, "%d answers dropped, %d withheld, %d requests delivered after their retry; %d "+
		"terms, %d Proclaims, %d more cut off",
		dropped.Hits(), hung.Hits(), late.Hits(), len(fences), proclaims, cutOff)
	for i := 1; i < len(fences); i++ {
		if fences[i] <= fences[i-1] {
			t.Errorf("fence %d came after %d", fences[i], fences[i-1])
		}
	}
	// Late requests may still arrive. None of them may create a leader again.
	pause(t, t.Context(), time.Second, "late requests")
	if leader, err := election.New(onlooker, name, nil).Leader(t.Context()); !errors.Is(err,
		election.ErrNoLeader) {
		t.Errorf("a ghost leads: %+v, %v", leader, err)
	}
	if left := members(t, direct, name); len(left) > 0 {
		t.Errorf("ghosts: %v", left)
	}
	p.Clear()
	resign(t, campaign(t, sessions[0], name, "last"))
}

// TestObserversNeverGoBackThroughCompactionsAndResets: while the log is compacted every 50 ms and
// streams are reset, the revisions that observers see only grow, and they see the last state.
func TestObserversNeverGoBackThroughCompactionsAndResets(t *testing.T) {
	p, err := faultproxy.New(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	name := fresh(t)
	direct := plain(t)
	behind := newSession(t, newClient(t, gateway.Config{Endpoints: []string{p.URL()}}), nil)
	calm, troubled := observe(t, direct, name), observe(t, behind, name)

	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	compactions, resets := 0, 0
	every := func(d time.Duration, what func()) {
		all.Go(func() {
			tick := time.NewTicker(d)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					what()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	compact := newClient(t, gateway.Config{})
	every(50*time.Millisecond, func() {
		resp, err := compact.Get(t.Context(), name)
		if err == nil {
			err = compact.Compact(t.Context(), resp.Revision)
		}
		if err != nil && !errors.Is(err, gateway.ErrCompacted) {
			t.Error(err)
		}
		compactions++
	})
	every(170*time.Millisecond, func() { p.Reset(); resets++ })
	terms := 0
	for begin := time.Now(); time.Since(begin) < 4*time.Second; terms++ {
		term := campaign(t, direct, name, fmt.Sprint("term ", terms))
		if terms%2 == 0 {
			if err := term.Proclaim(t.Context(), fmt.Sprint("term ", terms, " b")); err != nil {
				t.Error(err)
			}
		}
		if terms%3 == 0 {
			pause(t, t.Context(), 10*time.Millisecond, "term")
		}
		resign(t, term)
	}
	stop()
	all.Wait()
	last := campaign(t, direct, name, "last")
	seen, seenThrough := calm.until(t, "last"), troubled.until(t, "last")
	resign(t, last)
	troubled.until(t, "-")
	count := func(values []string) (n int) {
		for i, v := range values {
			if strings.HasPrefix(v, "term ") && (i == 0 || !strings.HasPrefix(v, values[i-1])) {
				n++
			}
		}
		return n
	}
	figure(t, "%d terms under %d compactions: one observer saw %d of them, one behind %d resets %d",
		terms, compactions, count(seen), resets, count(seenThrough))
}

// TestAnObserverSeesTheCurrentStateAfterAnOutage: an observer that was disconnected sees the
// current state afterwards.
func TestAnObserverSeesTheCurrentStateAfterAnOutage(t *testing.T) {
	t.Parallel()
	p, err := faultproxy.New(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	name := fresh(t)
	direct := plain(t)
	o := observe(t, newSession(t, newClient(t, gateway.Config{Endpoints: []string{p.URL()}}),
		&session.Options{TTL: time.Minute}), name)
	o.until(t, "-")
	term := campaign(t, direct, name, "one")
	o.until(t, "one")
	p.Blackhole(faultproxy.Both)
	resign(t, term)
	term = campaign(t, direct, name, "two")
	pause(t, t.Context(), 6*time.Second, "outage")
	if err := p.Heal(); err != nil {
		t.Error(err)
	}
	o.until(t, "two")
	resign(t, term)
	o.until(t, "-")
}
