package election_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// tryCampaign: TryCampaign leads a free election at once. Otherwise it returns ErrTaken with the
// leader, and leaves no key.
func tryCampaign(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	term, err := election.New(a, name, nil).TryCampaign(ctx, "me")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*session.Session{a, b} {
		_, err = election.New(s, name, nil).TryCampaign(ctx, "other")
		taken, ok := errors.AsType[*election.TakenError](err)
		if !errors.Is(err, election.ErrTaken) || !ok || taken.Lease != a.Lease() ||
			taken.Value != "me" || taken.Key != term.Key() ||
			taken.Fence != term.Fence() {
			t.Errorf("a second: %v", err)
		}
	}
	if all := members(t, c, name); len(all) != 1 {
		t.Errorf("candidates: %v", all)
	}
	if leader, err := election.New(b, name, nil).Leader(ctx); err != nil || leader.Value != "me" {
		t.Errorf("leader %+v, %v", leader, err)
	}
	resign(t, term)
	term, err = election.New(b, name, nil).TryCampaign(ctx, "next")
	if err != nil {
		t.Fatal(err)
	}
	resign(t, term)
}
