package election_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

func delay(t *testing.T, c *gateway.Client, a, b *session.Session) {
	const wait = time.Second
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	lead := func(s *session.Session) (*election.Term, time.Duration) {
		begin := time.Now()
		term, err := election.New(s, name, &election.Options{LockDelay: wait}).Campaign(ctx, "v")
		if err != nil {
			t.Fatal(err)
		}
		return term, time.Since(begin)
	}
	term, _ := lead(a)
	resign(t, term)
	term, took := lead(b)
	if took > wait/2 {
		t.Errorf("after a clean end it took %v", took)
	}
	if err := term.Proclaim(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delete(ctx, term.Key()); err != nil {
		t.Fatal(err)
	}
	term, took = lead(a)
	if took < wait {
		t.Errorf("after an unclean end it took %v", took)
	}
	resign(t, term)
}

// resignTooLate: Resign works although its context had ended.
func resignTooLate(t *testing.T, c *gateway.Client, a, _ *session.Session) {
	name := fresh(t)
	term := campaign(t, a, name, "one")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := term.Resign(ended); err != nil {
		t.Errorf("Resign with an ended context: %v", err)
	}
	if err := term.Resign(t.Context()); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Resign again: %v", err)
	}
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// run: Run leads again with a new session after a loss, and no other candidate leads before fn has
// returned.
func run(t *testing.T, c *gateway.Client, _, b *session.Session) {
	name := fresh(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	leads := make(chan gateway.LeaseID)
	finish, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- election.Run(ctx, c, nil, name, "runner",
			func(ctx context.Context, _ *election.Term) error {
				leader, err := election.New(b, name, nil).Leader(ctx)
				if err != nil {
					return err
				}
				leads <- leader.Lease
				<-ctx.Done()
				<-finish // the work needs time to stop
				return nil
			})
	}()
	first := <-leads
	if err := c.Revoke(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	finish <- struct{}{}
	if second := <-leads; second == first {
		t.Error("the session is the same")
	}
	w := goCampaign(t, t.Context(), b, name, "next", 2)
	stop()
	recipetest.Marked(t, b.Client())
	select {
	case <-w.done:
		t.Error("the next leads before fn has ended")
	default:
	}
	finish <- struct{}{}
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	resign(t, w.wait(t))
}

// transferTo: the chosen candidate leads next, although others were ahead of it. They lead later.
func transferTo(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	o := observe(t, b, name)
	term := campaign(t, a, name, "0")
	var waiting []*campaigning
	for i := 1; i <= 4; i++ {
		waiting = append(waiting, goCampaign(t, ctx, []*session.Session{a, b}[i%2], name,
			strconv.Itoa(i), i+1))
	}
	all, err := election.New(b, name, nil).Candidates(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := term.TransferTo(ctx, all[3]); err != nil {
		t.Fatal(err)
	}
	next := waiting[2].wait(t)
	if next.Fence() != all[3].Fence {
		t.Errorf("fence %d, not %d", next.Fence(), all[3].Fence)
	}
	if err := next.TransferTo(ctx, all[1]); !errors.Is(err, election.ErrNoCandidate) ||
		next.Err() != nil {
		t.Errorf("TransferTo for one that has joined again = %v", err)
	}
	resign(t, next)
	resign(t, waiting[3].wait(t)) // it was behind the chosen candidate
	for _, w := range waiting[:2] {
		go func() {
			<-w.done
			if w.err != nil || w.term.Resign(ctx) != nil {
				t.Error(w.err)
			}
		}()
	}
	if saw := o.until(t, "-"); saw[0] == "-" {
		o.until(t, "-")
	}
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
