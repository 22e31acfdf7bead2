package nospace_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

const lockDelay = 2 * time.Second

var delayed = []recipe{
	{"mutex", func(ctx context.Context, s *session.Session, name string) (release, error) {
		l, err := mutex.New(s, name, &mutex.Options{LockDelay: lockDelay}).Lock(ctx)
		if err != nil {
			return nil, err
		}
		return l.Unlock, nil
	}, nil},
	{"election", func(ctx context.Context, s *session.Session, name string) (release, error) {
		term, err := election.New(s, name,
			&election.Options{LockDelay: lockDelay}).Campaign(ctx, "me")
		if err != nil {
			return nil, err
		}
		return term.Resign, nil
	}, nil},
}

// TestAReleaseUnderALockDelayWorksInAFullDatabase checks that a release under a lock delay works
// while the database is full, but does not write the marker of a clean end. The waiter cannot write
// its own marker either, and keeps its place until there is space. It then waits out the delay,
// counted from the time at which it saw the holder leave.
func TestAReleaseUnderALockDelayWorksInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		var scenes []*underDelay
		for _, r := range delayed {
			for _, f := range faults {
				scenes = append(scenes, newUnderDelay(t, s, r, f, false))
			}
			scenes = append(scenes, newUnderDelay(t, s, r, faults[0], true))
		}
		s.fill(t)
		for _, sc := range scenes {
			t.Run(sc.name, sc.run)
		}
		for _, sc := range scenes {
			t.Run(sc.name+", still full", sc.wait)
		}
		s.makeSpace(t)
		space := time.Now()
		for _, sc := range scenes {
			t.Run(sc.name+", space again", func(t *testing.T) { sc.again(t, space) })
		}
	})
}

// underDelay is a holder and two waiters.
type underDelay struct {
	name     string
	recipe   recipe
	fault    fault
	givenUp  bool // the first waiter gives up
	server   *server
	line     string
	session  *session.Session
	proxy    *faultproxy.HTTPProxy
	release  release
	released time.Time
	waiters  []*waiter
}

type waiter struct {
	*call
	refused atomic.Int64 // transactions
	release release
}

func newUnderDelay(t *testing.T, s *server, r recipe, f fault, givenUp bool) *underDelay {
	t.Helper()
	sc := &underDelay{
		name: r.name + ", " + f.name, recipe: r, fault: f, givenUp: givenUp,
		server: s, line: fresh(t),
	}
	if givenUp {
		sc.name += ", given up"
	}
	sc.session, sc.proxy = s.faulty(t)
	var err error
	if sc.release, err = r.enter(within(t, patience), sc.session, sc.line); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		w := &waiter{}
		c := recipetest.NewClient(t, gateway.Config{
			Endpoints: s.Endpoints(),
			Hooks: gateway.Hooks{Attempt: func(_ context.Context, a gateway.Attempt) {
				if errors.Is(a.Err, gateway.ErrNoSpace) {
					w.refused.Add(1)
				}
			}},
		})
		own := recipetest.NewSession(t, c, &session.Options{TTL: 2 * time.Minute})
		w.call = goCall(t, func(ctx context.Context) (err error) {
			w.release, err = r.enter(ctx, own, sc.line)
			return err
		})
		sc.waiters = append(sc.waiters, w)
		eventually(t, "the waiters", func() bool {
			return len(members(t, s.client, sc.line)) == n+2
		})
	}
	return sc
}

func (sc *underDelay) run(t *testing.T) {
	start := time.Now()
	sc.fault.releaseUnder(t, sc.proxy, sc.release)
	sc.released = start
	eventually(t, "the end of the key", func() bool {
		return len(members(t, sc.server.client, sc.line)) == 2
	})
	figure(t, "from the release to the end of the key: %v", time.Since(start))
}

// wait checks that the first waiter retries, and that its key is deleted when it gives up.
func (sc *underDelay) wait(t *testing.T) {
	first := sc.waiters[0]
	eventually(t, "two refusals", func() bool { return first.refused.Load() >= 2 })
	if first.returned() {
		t.Fatalf("the first waiter in a full database: %v", first.err)
	}
	if !sc.givenUp {
		return
	}
	first.cancel()
	if err := first.result(t); !errors.Is(err, context.Canceled) {
		t.Errorf("the first waiter, given up: %v", err)
	}
	start := time.Now()
	sc.waiters = sc.waiters[1:]
	eventually(t, "the turn of the second", func() bool {
		return sc.waiters[0].refused.Load() >= 1
	})
	figure(t, "from giving up to the turn of the next: %v", time.Since(start))
}

func (sc *underDelay) again(t *testing.T, space time.Time) {
	for i, w := range sc.waiters {
		if err := w.result(t); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			figure(t, "from space to the next holder: %v", max(0, w.at.Sub(space)))
			if took := w.at.Sub(sc.released); took < lockDelay {
				t.Errorf("admitted %v after the release", took)
			}
		}
		if err := w.release(within(t, patience)); err != nil {
			t.Error(err)
		}
	}
}
