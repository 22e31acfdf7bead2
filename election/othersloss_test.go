package election_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestTheLossOfAnotherHoldIsNotTheEndOfTheTerm: a call whose context ends with the loss of another
// hold does not report that this term is not held.
func TestTheLossOfAnotherHoldIsNotTheEndOfTheTerm(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, *election.Term, election.Candidate) error{
		"Proclaim": func(ctx context.Context, term *election.Term, _ election.Candidate) error {
			return term.Proclaim(ctx, "other")
		},
		"TransferTo": func(ctx context.Context, term *election.Term, to election.Candidate) error {
			return term.TransferTo(ctx, to)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				e := election.New(bubble.Session(t, etcd), "a", nil)
				term, err := e.Campaign(t.Context(), "me")
				if err != nil {
					t.Fatal(err)
				}
				waiting, stop := context.WithCancel(t.Context())
				defer stop()
				second := election.New(bubble.Session(t, etcd), "a", nil)
				go func() { _, _ = second.Campaign(waiting, "second") }()
				synctest.Wait()
				all, err := e.Candidates(t.Context())
				if err != nil || len(all) != 2 {
					t.Fatal(all, err)
				}
				ctx, lose := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() {
					lose(fmt.Errorf("another: %w: %w", session.ErrLost, session.ErrRevoked))
				})
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.IsTxn("a/") {
						return c.Silence()
					}
					return c.Apply()
				})
				err = call(ctx, term, all[1])
				if !errors.Is(err, context.Canceled) || errors.Is(err, session.ErrNotHeld) ||
					term.Err() != nil {
					t.Errorf("it returned %v, and the term %v", err, term.Err())
				}
				etcd.Script(nil)
				stop()
				time.Sleep(2 * time.Second)
			})
		})
	}
}
