package election_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestAReleaseWithTheContextOfDo: a Resign or a TransferTo within Do, which ends the context that
// it was called with, returns its outcome.
func TestAReleaseWithTheContextOfDo(t *testing.T) {
	t.Parallel()
	for _, transfers := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			e := election.New(bubble.Session(t, etcd), "a", nil)
			err := e.Do(t.Context(), "v", func(ctx context.Context, term *election.Term) error {
				go func() { _, _ = e.Campaign(t.Context(), "next") }()
				synctest.Wait()
				all, err := e.Candidates(ctx)
				if err != nil {
					return err
				}
				if transfers {
					err = term.TransferTo(ctx, all[1])
				} else {
					err = term.Resign(ctx)
				}
				if cause := context.Cause(ctx); !errors.Is(cause, session.ErrReleased) {
					t.Errorf("the context: %v", cause)
				}
				return err
			})
			if err != nil {
				t.Errorf("Do = %v", err)
			}
		})
	}
}

// TestDo: Do runs fn for one term, also if the term is lost. The context of fn ends with the term.
func TestDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fn   func(ctx context.Context, etcd *fakeetcd.Server, term *election.Term) error
		want error
	}{
		{"nil", func(context.Context, *fakeetcd.Server, *election.Term) error { return nil }, nil},
		{"error", func(context.Context, *fakeetcd.Server, *election.Term) error {
			return errOwn
		}, errOwn},
		{"resigned meanwhile", func(ctx context.Context, _ *fakeetcd.Server, term *election.Term) error {
			go func() { _ = term.Resign(context.WithoutCancel(ctx)) }()
			<-ctx.Done()
			return context.Cause(ctx)
		}, session.ErrReleased},
		{"broken", func(ctx context.Context, etcd *fakeetcd.Server, term *election.Term) error {
			time.Sleep(2 * time.Second) // then the key is watched
			etcd.Delete(term.Key())
			<-ctx.Done()
			return nil
		}, session.ErrKeyDeleted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				terms := 0
				err := election.New(bubble.Session(t, etcd), "a", nil).Do(t.Context(), "v",
					func(ctx context.Context, term *election.Term) error {
						terms++
						if value := shown(etcd, term); value != "v" {
							t.Errorf("shows %q", value)
						}
						return tt.fn(ctx, etcd, term)
					})
				if !errors.Is(err, tt.want) || tt.want == nil && err != nil || terms != 1 {
					t.Errorf("Do = %v after %d terms", err, terms)
				}
				synctest.Wait() // for the Resign of the other goroutine
				if left := etcd.Keys("a/"); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
			})
		})
	}
}

// TestBreak: the leader loses the election and the next candidate leads. The heir's key is no
// candidate's.
func TestBreak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		first := campaign(t, bubble.Session(t, etcd), "one")
		s := bubble.Session(t, etcd)
		next := make(chan *election.Term)
		go func() { next <- campaign(t, s, "two") }()
		synctest.Wait()
		time.Sleep(2 * time.Second) // then the leader's key is watched
		e := election.New(bubble.Session(t, etcd), "a", nil)
		if err := e.Break(t.Context(), "a//heir", 1, "why not"); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("the heir's key: %v", err)
		}
		if err := e.Break(t.Context(), first.Key(), first.Fence(), "host on fire"); err != nil {
			t.Error(err)
		}
		<-first.Context().Done()
		if err := first.Err(); !errors.Is(err, session.ErrKeyDeleted) {
			t.Errorf("the leader: %v", err)
		}
		resign(t, <-next)
		err := e.Break(t.Context(), first.Key(), first.Fence(), "again")
		if !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("again: %v", err)
		}
	})
}
