package election_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestAResumeEndsWhenItsCandidateIsRemoved: the candidate disappears while Resume waits.
func TestAResumeEndsWhenItsCandidateIsRemoved(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		lose func(etcd *fakeetcd.Server, s *session.Session)
		want error
	}{
		{"key", func(etcd *fakeetcd.Server, s *session.Session) {
			etcd.Delete("a/" + s.Lease().String())
		}, session.ErrKeyDeleted},
		{"lease", func(etcd *fakeetcd.Server, s *session.Session) {
			etcd.Revoke(s.Lease())
		}, session.ErrRevoked},
		{"session", func(_ *fakeetcd.Server, s *session.Session) { s.Orphan() }, session.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				leader := campaign(t, bubble.Session(t, etcd), "leader")
				old := bubble.Session(t, etcd)
				goCampaign(t, old, "waits")
				old.Orphan()
				s := again(t, etcd, old)
				resumed := goResume(t, s)
				tt.lose(etcd, s)
				if <-resumed.done; !errors.Is(resumed.err, tt.want) ||
					!errors.Is(resumed.err, session.ErrLost) {
					t.Errorf("Resume = %v", resumed.err)
				}
				resign(t, leader)
			})
		})
	}
}

// TestResumeCutOff: a Resume whose ctx ended leaves no candidate in line, unless it could not read
// the line.
func TestResumeCutOff(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		leader := campaign(t, bubble.Session(t, etcd), "leader")
		old := bubble.Session(t, etcd)
		for i := range 3 {
			goCampaign(t, old, fmt.Sprint("waits", i))
		}
		old.Orphan()
		s := again(t, etcd, old)
		e := election.New(s, "a", nil)
		for _, path := range []string{"/kv/txn", "/kv/range"} {
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.Path == path {
					return c.Silence()
				}
				return c.Apply()
			})
			if _, err := e.Resume(bubble.Within(t, time.Second)); !errors.Is(err,
				context.DeadlineExceeded) {
				t.Errorf("Resume = %v", err)
			}
		}
		etcd.Script(nil)
		if got := values(t, e); len(got) != 4 {
			t.Errorf("in line: %q", got)
		}
		if _, err := e.Resume(bubble.Within(t, time.Second)); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Errorf("Resume = %v", err)
		}
		time.Sleep(time.Second)
		if got := values(t, e); len(got) != 1 {
			t.Errorf("in line: %q", got)
		}
		if _, err := e.Resume(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Resume = %v", err)
		}
		resign(t, leader)
	})
}

// TestAResumeDeletesTheHeirOfAnEarlierLife: Resume deletes the heir that an earlier life had named,
// and keeps the order of the line.
func TestAResumeDeletesTheHeirOfAnEarlierLife(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		old := bubble.Session(t, etcd)
		leader := campaign(t, old, "leader")
		etcd.Put("a/stranger", "stranger") // does not step aside
		next := goCampaign(t, bubble.Session(t, etcd), "next")
		all, err := election.New(old, "a", nil).Candidates(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stepped := make(chan error)
		go func() { stepped <- leader.TransferTo(t.Context(), all[2]) }()
		synctest.Wait()
		if len(etcd.Keys("a//")) != 1 {
			t.Fatal("no heir")
		}
		old.Orphan()
		if err := <-stepped; !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("TransferTo of the earlier life = %v", err)
		}
		term := resumeTerm(t, again(t, etcd, old))
		if keys := etcd.Keys("a//"); len(keys) != 0 || term.Fence() != leader.Fence() {
			t.Errorf("left: %v", keys)
		}
		etcd.Delete("a/stranger")
		if err := term.TransferTo(t.Context(), all[2]); err != nil {
			t.Error(err)
		}
		resign(t, next.leads(t))
	})
}

func TestAResumedCandidateStepsAside(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		e := election.New(bubble.Session(t, etcd), "a", nil)
		leader := campaign(t, bubble.Session(t, etcd), "leader")
		old := bubble.Session(t, etcd)
		goCampaign(t, old, "aside")
		old.Orphan() // its candidate no longer steps aside
		heir := goCampaign(t, bubble.Session(t, etcd), "heir")
		all, err := e.Candidates(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stepped := make(chan error)
		go func() { stepped <- leader.TransferTo(t.Context(), all[2]) }()
		synctest.Wait()
		if len(etcd.Keys("a//")) != 1 {
			t.Fatal("no heir")
		}
		resumed := goResume(t, again(t, etcd, old))
		if err := <-stepped; err != nil {
			t.Error(err)
		}
		term := heir.leads(t)
		if got, want := values(t, e), []string{"heir", "aside"}; !slices.Equal(got, want) ||
			!resumed.waits() {
			t.Errorf("in line: %q", got)
		}
		resign(t, term)
		resign(t, resumed.leads(t))
	})
}

// TestAResumeWaitsForTheLockDelay: Resume waits for the delay, because it cannot know whether the
// earlier life had waited. The term that follows ends cleanly.
func TestAResumeWaitsForTheLockDelay(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const delay = 20 * time.Second
		delayed := func(s *session.Session) *election.Election {
			return election.New(s, "a", &election.Options{LockDelay: delay})
		}
		old := bubble.Session(t, etcd)
		was, err := delayed(old).Campaign(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		old.Orphan()
		begin := time.Now()
		term, err := delayed(again(t, etcd, old)).Resume(t.Context())
		if err != nil || term.Fence() != was.Fence() || time.Since(begin) != delay {
			t.Fatal(err, time.Since(begin))
		}
		next := make(chan error)
		go func() {
			_, err := delayed(bubble.Session(t, etcd)).Campaign(t.Context(), "next")
			next <- err
		}()
		time.Sleep(time.Second)
		begin = time.Now()
		resign(t, term)
		if err := <-next; err != nil || time.Since(begin) > time.Second {
			t.Error(err, time.Since(begin))
		}
	})
}

// TestResumeOfTheLiving: a leader whose session is resumed elsewhere no longer leads, and changes
// nothing.
func TestResumeOfTheLiving(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		old := bubble.Session(t, etcd)
		was := campaign(t, old, "one")
		behind := goCampaign(t, old, "two")
		etcd.BreakWatches(true)
		term := resumeTerm(t, again(t, etcd, old))
		if err := was.Proclaim(t.Context(), "old"); !errors.Is(err, session.ErrResumedElsewhere) ||
			!errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Proclaim = %v", err)
		}
		if <-behind.done; !errors.Is(behind.err, session.ErrResumedElsewhere) {
			t.Errorf("Campaign = %v", behind.err)
		}
		if err := was.Resign(t.Context()); !errors.Is(err, session.ErrNotHeld) ||
			!errors.Is(context.Cause(was.Context()), session.ErrResumedElsewhere) {
			t.Errorf("Resign = %v", err)
		}
		if err := old.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := values(t, election.New(bubble.Session(t, etcd), "a", nil)); !slices.Equal(got,
			[]string{"one"}) || term.Err() != nil {
			t.Errorf("in line: %q, the term: %v", got, term.Err())
		}
		etcd.BreakWatches(false)
	})
}

func TestAResumeOfABadNameOrSessionIsRejected(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		if _, err := election.New(nil, "a", nil).Resume(t.Context()); !errors.Is(err,
			gateway.ErrInvalid) {
			t.Errorf("without a session: %v", err)
		}
		s := bubble.Session(t, etcd)
		if _, err := election.New(s, "", nil).Resume(t.Context()); !errors.Is(err,
			gateway.ErrInvalid) {
			t.Errorf("without a name: %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := election.New(s, "a", nil).Resume(t.Context()); !errors.Is(err,
			session.ErrLost) {
			t.Errorf("of a closed session: %v", err)
		}
	})
}
