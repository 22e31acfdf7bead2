// Package election_test tests elections on real etcd.
package election_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	newSession = recipetest.NewSession
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	pause      = recipetest.Pause
	members    = recipetest.Members
)

func TestMain(m *testing.M) { cluster.Main(m) }

// plain returns a session on the shared cluster.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	return cluster.NewSession(tb, nil)
}

func campaign(tb testing.TB, s *session.Session, name, value string) *election.Term {
	tb.Helper()
	term, err := election.New(s, name, nil).Campaign(within(tb, 20*time.Second), value)
	if err != nil {
		tb.Fatal(err)
	}
	return term
}

func resign(tb testing.TB, term *election.Term) {
	tb.Helper()
	if err := term.Resign(within(tb, 20*time.Second)); err != nil {
		tb.Fatal(err)
	}
}

// campaigning is a Campaign that is under way.
type campaigning struct {
	term *election.Term
	err  error
	done chan struct{}
}

// goCampaign returns when the candidate is the n-th in line.
func goCampaign(
	tb testing.TB, ctx context.Context, s *session.Session, name, value string, n int,
) *campaigning {
	tb.Helper()
	c := &campaigning{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.term, c.err = election.New(s, name, nil).Campaign(ctx, value)
	}()
	eventually(tb, "join", func() bool { return len(members(tb, s.Client(), name)) == n })
	return c
}

func (c *campaigning) wait(tb testing.TB) *election.Term {
	tb.Helper()
	select {
	case <-c.done:
	case <-within(tb, 20*time.Second).Done():
		tb.Fatal("the candidate still waits")
	}
	if c.err != nil {
		tb.Fatal(c.err)
	}
	return c.term
}

// observer collects events until the end of the test.
type observer struct {
	events chan election.Event
}

func observe(tb testing.TB, s *session.Session, name string) *observer {
	tb.Helper()
	o := &observer{make(chan election.Event, 10_000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var last election.Event
		var fence int64
		for ev, err := range election.New(s, name, nil).Observe(ctx) {
			if err != nil {
				if ctx.Err() == nil {
					tb.Errorf("Observe: %v", err)
				}
				close(o.events)
				return
			}
			if ev.Revision <= last.Revision || ev.Leader != nil && ev.Leader.Fence < fence {
				tb.Errorf("went backwards: %+v after %+v, fence %d", ev, last, fence)
			}
			if last = ev; ev.Leader != nil {
				fence = ev.Leader.Fence
			}
			o.events <- ev
		}
	}()
	tb.Cleanup(func() { cancel(); <-done })
	return o
}

// until returns all values up to the wanted one, "-" for no leader.
func (o *observer) until(tb testing.TB, want string) (values []string) {
	tb.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		select {
		case ev, ok := <-o.events:
			value := "-"
			if ev.Leader != nil {
				value = ev.Leader.Value
			}
			if values = append(values, value); ok && value == want {
				return values
			}
			if ok {
				continue
			}
		case <-late.C:
		}
		tb.Fatalf("waiting for %q, saw %q", want, values)
	}
}
