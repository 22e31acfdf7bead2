package election_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// broken: Break ends the term under which Do runs, and the next candidate leads.
func broken(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	e := election.New(b, name, nil)
	var w *campaigning
	err := election.New(a, name, nil).Do(ctx, "one",
		func(run context.Context, term *election.Term) error {
			w = goCampaign(t, ctx, b, name, "two", 2)
			if err := e.Break(ctx, term.Key(), term.Fence(), "tidy up"); err != nil {
				return err
			}
			<-run.Done()
			return nil
		})
	if !errors.Is(err, session.ErrKeyDeleted) {
		t.Errorf("Do = %v", err)
	}
	resign(t, w.wait(t))
}
