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

// TestAJoinThatWasCutOffLeavesNoKeyInAFullDatabase checks a join that was applied but got no answer
// before the database became full. When the caller gives up, or etcd refuses the repeated join, the
// session deletes the key, and the waiter behind it is admitted.
func TestAJoinThatWasCutOffLeavesNoKeyInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		var scenes []*joining
		for _, r := range recipes {
			for _, givenUp := range []bool{true, false} {
				scenes = append(scenes, newJoining(t, s, r, givenUp))
			}
		}
		s.fill(t)
		for _, sc := range scenes {
			t.Run(sc.name, sc.run)
		}
		s.makeSpace(t)
		for _, sc := range scenes {
			t.Run(sc.name+", space again", sc.again)
		}
	})
}

// joining is a holder, a member behind it whose join got no answer, and a waiter behind both.
type joining struct {
	name    string
	recipe  recipe
	givenUp bool
	line    string
	holder  release
	session *session.Session
	proxy   *faultproxy.HTTPProxy
	member  *call
	waiter  *call
	next    release // the waiter's
}

func newJoining(t *testing.T, s *server, r recipe, givenUp bool) *joining {
	t.Helper()
	how := map[bool]string{true: ", given up", false: ", refused"}[givenUp]
	sc := &joining{name: r.name + how, recipe: r, givenUp: givenUp, line: fresh(t)}
	var err error
	if sc.holder, err = r.enter(within(t, patience), s.session(t), sc.line); err != nil {
		t.Fatal(err)
	}
	sc.session, sc.proxy = s.faulty(t)
	sc.proxy.Add(faultproxy.Rule{Match: transactions, Action: faultproxy.Hang})
	sc.member = goCall(t, func(ctx context.Context) error {
		_, err := r.enter(ctx, sc.session, sc.line)
		return err
	})
	eventually(t, "the join", func() bool { return len(members(t, s.client, sc.line)) == 2 })
	other := s.session(t)
	sc.waiter = goCall(t, func(ctx context.Context) (err error) {
		sc.next, err = r.await(ctx, other, sc.line)
		return err
	})
	if r.name != "barrier" { // its waiters put no key
		eventually(t, "the waiter", func() bool { return len(members(t, s.client, sc.line)) == 3 })
	}
	return sc
}

func (sc *joining) run(t *testing.T) {
	if err := sc.holder(within(t, soon)); err != nil {
		t.Errorf("the holder's release: %v", err)
	}
	if sc.waiter.returned() || sc.member.returned() {
		t.Fatal("the key whose join is unanswered keeps nobody out")
	}
	start := time.Now()
	if sc.givenUp {
		sc.member.cancel()
		_ = sc.member.result(t)
	}
	sc.proxy.Clear() // the answer is lost now, and a join that still waits for it is repeated
	figure(t, "from the end of the join to the next holder: %v", sc.waiter.succeedsSoon(t, start))
	want := map[bool]error{true: context.Canceled, false: gateway.ErrNoSpace}[sc.givenUp]
	if err := sc.member.result(t); !errors.Is(err, want) {
		t.Errorf("the join: %v, want %v", err, want)
	}
	if err := sc.next(within(t, soon)); err != nil {
		t.Errorf("the release of the next: %v", err)
	}
}

func (sc *joining) again(t *testing.T) {
	release, err := sc.recipe.enter(within(t, patience), sc.session, sc.line)
	if err == nil {
		err = release(within(t, patience))
	}
	if err != nil {
		t.Error(err)
	}
}
