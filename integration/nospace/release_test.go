package nospace_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/session"
)

// fault is a fault of the proxy during a release.
type fault struct {
	name   string
	rule   *faultproxy.Rule
	cutOff bool // the context of the first release ends, and a second release follows
}

var faults = []fault{
	{"no fault", nil, false},
	{"answer lost", &faultproxy.Rule{Times: 1, Action: faultproxy.Drop}, false},
	{"request lost", &faultproxy.Rule{Times: 1, Action: faultproxy.Refuse}, false},
	{"answer withheld", &faultproxy.Rule{Action: faultproxy.Hang}, true},
	{"all requests lost", &faultproxy.Rule{Action: faultproxy.Refuse}, true},
}

// releaseUnder calls release under the fault, which must be met.
func (f fault) releaseUnder(t *testing.T, p *faultproxy.HTTPProxy, release release) {
	t.Helper()
	var armed *faultproxy.ArmedRule
	if f.rule != nil {
		rule := *f.rule
		rule.Match = transactions
		armed = p.Add(rule)
	}
	if f.cutOff {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := release(ctx); !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("a release that was cut off: %v", err)
		}
		p.Clear()
	}
	if err := release(within(t, soon)); err != nil {
		t.Errorf("release: %v", err)
	}
	if armed != nil && armed.Hits() == 0 {
		t.Error("the fault was not met")
	}
}

// TestAReleaseWorksInAFullDatabase checks that a release works while the database is full, even if
// an answer or a request is lost, and that the next member is admitted. Once there is space, the
// same session can enter again under the same name.
func TestAReleaseWorksInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		var scenes []*releasing
		for _, r := range recipes {
			for _, f := range faults {
				scenes = append(scenes, newReleasing(t, s, r, f))
			}
		}
		s.fill(t)
		for _, sc := range scenes {
			t.Run(sc.recipe.name+", "+sc.fault.name, sc.run)
		}
		if !s.alarmed(t) {
			t.Error("the database is not full any more")
		}
		s.makeSpace(t)
		for _, sc := range scenes {
			t.Run(sc.recipe.name+", "+sc.fault.name+", space again", sc.again)
		}
	})
}

// releasing is a holder and a waiter for its release.
type releasing struct {
	recipe  recipe
	fault   fault
	line    string
	session *session.Session
	proxy   *faultproxy.HTTPProxy
	release release
	waiter  *call
	next    release // the waiter's
}

func newReleasing(t *testing.T, s *server, r recipe, f fault) *releasing {
	t.Helper()
	sc := &releasing{recipe: r, fault: f, line: fresh(t)}
	sc.session, sc.proxy = s.faulty(t)
	var err error
	if sc.release, err = r.enter(within(t, patience), sc.session, sc.line); err != nil {
		t.Fatal(err)
	}
	other := s.session(t)
	sc.waiter = goCall(t, func(ctx context.Context) (err error) {
		sc.next, err = r.await(ctx, other, sc.line)
		return err
	})
	if r.name != "barrier" { // its waiters put no key
		eventually(t, "the waiter", func() bool { return len(members(t, s.client, sc.line)) == 2 })
	}
	return sc
}

func (sc *releasing) run(t *testing.T) {
	if sc.waiter.returned() {
		t.Fatal("the waiter was admitted too early")
	}
	start := time.Now()
	sc.fault.releaseUnder(t, sc.proxy, sc.release)
	figure(t, "from the release to the next holder: %v", sc.waiter.succeedsSoon(t, start))
	if err := sc.release(within(t, soon)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("one release more: %v", err)
	}
	if err := sc.next(within(t, soon)); err != nil {
		t.Errorf("the release of the next: %v", err)
	}
}

func (sc *releasing) again(t *testing.T) {
	release, err := sc.recipe.enter(within(t, patience), sc.session, sc.line)
	if err == nil {
		err = release(within(t, patience))
	}
	if err != nil {
		t.Error(err)
	}
}
