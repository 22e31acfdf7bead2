package election_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestALeaderWhoseKeyLosesItsLeaseLosesItsTerm: the term of a leader whose key is put again without
// the lease ends, and the next one leads.
func TestALeaderWhoseKeyLosesItsLeaseLosesItsTerm(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		first := campaign(t, bubble.Session(t, etcd), "1")
		time.Sleep(2 * time.Second) // then its key is watched
		next := make(chan *election.Term, 1)
		s := bubble.Session(t, etcd)
		go func() { next <- campaign(t, s, "2") }()
		synctest.Wait()
		etcd.Put(first.Key(), "0")
		second := <-next
		ended(t, etcd, first)
		if err := first.Proclaim(t.Context(), "3"); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Proclaim = %v", err)
		}
		if second.Fence() <= first.Fence() || shown(etcd, second) != "2" {
			t.Errorf("fences %d, %d; %q is shown", first.Fence(), second.Fence(),
				shown(etcd, second))
		}
		resign(t, second)
	})
}

// TestACandidateWhoseKeyLosesItsLeaseHardlyLeads: one that loses the lease of its key while it
// waits leads for a moment at most.
func TestACandidateWhoseKeyLosesItsLeaseHardlyLeads(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		first := campaign(t, bubble.Session(t, etcd), "1")
		terms := make(chan *election.Term)
		for _, value := range []string{"2", "3"} {
			s := bubble.Session(t, etcd)
			go func() { terms <- campaign(t, s, value) }()
			synctest.Wait()
		}
		candidates, err := election.New(bubble.Session(t, etcd), "a", nil).Candidates(t.Context())
		if err != nil || len(candidates) != 3 {
			t.Fatalf("%+v, %v", candidates, err)
		}
		etcd.Put(candidates[1].Key, "2")
		time.Sleep(10 * time.Second)
		resign(t, first)
		began, second := time.Now(), <-terms
		third := <-terms
		if took := time.Since(began); took > 1100*time.Millisecond ||
			third.Fence() != candidates[2].Fence {
			t.Errorf("after %v the fence %d leads, of %+v", took, third.Fence(), candidates)
		}
		ended(t, etcd, second)
		resign(t, third)
	})
}

// ended fails unless a term was lost with its key, which is gone.
func ended(t *testing.T, etcd *fakeetcd.Server, term *election.Term) {
	t.Helper()
	if err := term.Err(); !errors.Is(err, session.ErrKeyDeleted) || term.Context().Err() == nil {
		t.Errorf("Err = %v", err)
	}
	if _, ok := etcd.Get(term.Key()); ok {
		t.Error("the key is still there")
	}
	if err := term.Resign(t.Context()); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Resign = %v", err)
	}
}
