package gauntlet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

func campaign(tb testing.TB, s *session.Session, name, value string) *election.Term {
	tb.Helper()
	term, err := election.New(s, name, nil).Campaign(soon(tb), value)
	must(tb, err)
	return term
}

func leader(tb testing.TB, name string) string {
	tb.Helper()
	l, err := election.New(plain(tb), name, nil).Leader(soon(tb))
	if errors.Is(err, election.ErrNoLeader) {
		return "-"
	}
	must(tb, err)
	return l.Value
}

func lostCampaignPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	e := concurrency.NewElection(p.session(t), name)
	failed := cutOff(t, p.link, func(ctx context.Context) error {
		return e.Campaign(ctx, "ghost")
	}, count(t, name+"/", 1))
	resigned := e.Resign(soon(t))
	leads := leader(t, name)
	return saw("Campaign: %v; Resign: %v; leader: %s", failed, resigned, leads),
		failed != nil && resigned == nil && leads == "ghost"
}

func lostCampaign(t *testing.T) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	e := election.New(s, name, nil)
	call := func(ctx context.Context) error { _, err := e.Campaign(ctx, "ghost"); return err }
	failed := cutOff(t, link, call, count(t, name+"/", 1))
	if !errors.Is(failed, context.Canceled) || !errors.Is(failed, gateway.ErrUncertain) {
		t.Errorf("Campaign = %v", failed)
	}
	eventually(t, "clean-up", count(t, name+"/", 0))
	if s.Err() != nil {
		t.Errorf("it was not cleaned up but lost: %v", s.Err())
	}
	return "Campaign is uncertain, and undone"
}

func phantomPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	s := p.session(t)
	term := campaign(t, plain(t), name, "first")
	waiting := begin(func() error {
		return concurrency.NewElection(s, name).Campaign(soon(t), "phantom")
	})
	p.waits(t)
	revoke(t, s.Lease())
	must(t, term.Resign(soon(t)))
	err := waiting.end(t)
	leads := leader(t, name)
	return saw("Campaign: %v; leader: %s", err, leads), err == nil && leads == "-"
}

func phantom(t *testing.T) string {
	s, name := plain(t), fresh(t)
	term := campaign(t, plain(t), name, "first")
	waiting := begin(func() error {
		_, err := election.New(s, name, nil).Campaign(soon(t), "phantom")
		return err
	})
	eventually(t, "join", count(t, name+"/", 2))
	revoke(t, clientv3.LeaseID(s.Lease()))
	must(t, term.Resign(soon(t)))
	if err := waiting.end(t); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("Campaign = %v", err)
	}
	return "Campaign: " + session.ErrRevoked.Error()
}

func leftBehindPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	e := concurrency.NewElection(p.session(t), name)
	term := campaign(t, plain(t), name, "first")
	waiting := begin(func() error { return e.Campaign(soon(t), "ghost") })
	p.waits(t)
	compactAndReset(t, p.link)
	failed := waiting.end(t)
	resigned := e.Resign(soon(t))
	must(t, term.Resign(soon(t)))
	leads := leader(t, name)
	return saw("Campaign: %v; Resign: %v; leader: %s", failed, resigned, leads),
		failed != nil && resigned == nil && leads == "ghost"
}

func leftBehind(t *testing.T) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	term := campaign(t, plain(t), name, "first")
	waiting := begin(func() error {
		_, err := election.New(s, name, nil).Campaign(soon(t), "second")
		return err
	})
	eventually(t, "join", count(t, name+"/", 2))
	compactAndReset(t, link)
	if !waiting.stuck(500 * time.Millisecond) {
		t.Errorf("Campaign = %v", waiting.err)
	}
	must(t, term.Resign(soon(t)))
	if err := waiting.end(t); err != nil || leader(t, name) != "second" {
		t.Errorf("Campaign = %v, leader %s", err, leader(t, name))
	}
	return "it waits on, and leads"
}

func resignForgetsPeer(t *testing.T) (string, bool) {
	name := fresh(t)
	e := concurrency.NewElection(newPeer(t).session(t), name)
	must(t, e.Campaign(soon(t), "stuck"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	failed, again := e.Resign(ended), e.Resign(soon(t))
	leads := leader(t, name)
	return saw("Resign: %v, then %v; leader: %s", failed, again, leads), failed != nil &&
		again == nil && leads == "stuck"
}

func resignForgets(t *testing.T) string {
	name := fresh(t)
	term := campaign(t, plain(t), name, "stuck")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := term.Resign(ended); err != nil || leader(t, name) != "-" {
		t.Errorf("Resign = %v, leader %s", err, leader(t, name))
	}
	if err := term.Resign(soon(t)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("second Resign = %v", err)
	}
	return "it resigns, in a moment of its own"
}

// observe returns the values that an observer of this library receives until the end of the test.
func observe(tb testing.TB, s *session.Session, name string) <-chan string {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	seen, done := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(done)
		for ev, err := range election.New(s, name, nil).Observe(ctx) {
			switch {
			case err != nil:
				seen <- err.Error()
			case ev.Leader == nil:
				seen <- "-"
			default:
				seen <- ev.Leader.Value
			}
		}
	}()
	tb.Cleanup(func() { cancel(); <-done })
	return seen
}

func expect(tb testing.TB, seen <-chan string, want string) {
	tb.Helper()
	select {
	case got := <-seen:
		if got != want {
			tb.Errorf("an observer sees %q, want %q", got, want)
		}
	case <-soon(tb).Done():
		tb.Fatalf("an observer does not see %q", want)
	}
}

func noLeaderPeer(t *testing.T) (string, bool) {
	name := fresh(t)
	term := campaign(t, plain(t), name, "one")
	seen := concurrency.NewElection(newPeer(t).session(t), name).Observe(t.Context())
	<-seen
	must(t, term.Resign(soon(t)))
	next := begin(func() error { <-seen; return nil })
	quiet := next.stuck(2 * time.Second)
	return saw("no event for 2 s: %v", quiet), quiet
}

func noLeader(t *testing.T) string {
	name := fresh(t)
	seen := observe(t, plain(t), name)
	expect(t, seen, "-")
	term := campaign(t, plain(t), name, "one")
	expect(t, seen, "one")
	must(t, term.Resign(soon(t)))
	expect(t, seen, "-")
	return "they see it"
}

func observeEndsPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	campaign(t, plain(t), name, "one")
	seen := concurrency.NewElection(p.session(t), name).Observe(t.Context())
	<-seen
	p.waits(t)
	compactAndReset(t, p.link)
	select {
	case _, ok := <-seen:
		return saw("the channel is open: %v", ok), !ok
	case <-soon(t).Done():
		return "the channel is open", false
	}
}

func observeEnds(t *testing.T) string {
	link, name := newLink(t), fresh(t)
	seen := observe(t, behind(t, link.URL(), nil), name)
	expect(t, seen, "-")
	term := campaign(t, plain(t), name, "one")
	expect(t, seen, "one")
	compactAndReset(t, link)
	must(t, term.Proclaim(soon(t), "one, too"))
	expect(t, seen, "one, too")
	return "it goes on"
}

// resumedPeer has two elections. The name of one is a prefix of the other's name.
func resumedPeer(t *testing.T) (string, bool) {
	s, name := newPeer(t).session(t), fresh(t)
	must(t, concurrency.NewElection(s, name+"-other").Campaign(soon(t), "other"))
	e := concurrency.NewElection(s, name)
	must(t, e.Campaign(soon(t), "this"))
	resp, err := concurrency.ResumeElection(s, name, e.Key(), e.Rev()).Leader(soon(t))
	must(t, err)
	leads := string(resp.Kvs[0].Value)
	return "its leader: " + leads, leads == "other"
}

func resumed(t *testing.T) string {
	s, name := plain(t), fresh(t)
	campaign(t, s, name+"-other", "other")
	campaign(t, s, name+"/other", "other")
	campaign(t, s, name, "this")
	if l := leader(t, name); l != "this" {
		t.Errorf("leader: %s", l)
	}
	return "elections have one way to their name"
}
