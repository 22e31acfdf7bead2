package election_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// overdue: a leader that hangs is replaced, and others see since when it leads.
func overdue(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	opts := &election.Options{MaxHold: 500 * time.Millisecond}
	hung, err := election.New(a, name, opts).Campaign(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := hung.Progress(); err != nil {
		t.Errorf("Progress = %v", err)
	}
	eventually(t, "the time of the term", func() bool {
		who, err := election.New(b, name, nil).Candidates(ctx)
		return err == nil && len(who) == 1 && !who[0].Since.IsZero()
	})
	next := campaign(t, b, name, "two")
	if err := hung.Proclaim(ctx, "late"); !errors.Is(err, session.ErrOverdue) ||
		!errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Proclaim = %v", err)
	}
	resign(t, next)
}
