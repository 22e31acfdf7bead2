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
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// again returns the next life of a session.
func again(t *testing.T, etcd *fakeetcd.Server, old *session.Session) *session.Session {
	t.Helper()
	s, err := session.Resume(t.Context(), etcd.Client(t), old.Lease(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // some were resumed elsewhere, or lost
	})
	synctest.Wait()
	return s
}

func resumeTerm(t *testing.T, s *session.Session) *election.Term {
	t.Helper()
	term, err := election.New(s, "a", nil).Resume(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return term
}

// waiting is a candidate behind others.
type waiting struct {
	value string
	term  *election.Term
	err   error
	done  chan struct{}
}

func goCampaign(t *testing.T, s *session.Session, value string) *waiting {
	t.Helper()
	w := &waiting{value: value, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.term, w.err = election.New(s, "a", nil).Campaign(t.Context(), value)
	}()
	synctest.Wait()
	return w
}

func goResume(t *testing.T, s *session.Session) *waiting {
	t.Helper()
	w := &waiting{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.term, w.err = election.New(s, "a", nil).Resume(t.Context())
	}()
	synctest.Wait()
	return w
}

func (w *waiting) waits() bool {
	synctest.Wait()
	select {
	case <-w.done:
		return false
	default:
		return true
	}
}

func (w *waiting) leads(t *testing.T) *election.Term {
	t.Helper()
	if <-w.done; w.err != nil {
		t.Fatal(w.value, w.err)
	}
	return w.term
}

func values(t *testing.T, e *election.Election) (values []string) {
	t.Helper()
	all, err := e.Candidates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		values = append(values, c.Value)
	}
	return values
}

func TestAResumedLeaderKeepsItsTerm(t *testing.T) {
	t.Parallel()
	for lost := range 3 {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				old := bubble.Session(t, etcd)
				was := campaign(t, old, "one")
				next := goCampaign(t, bubble.Session(t, etcd), "next")
				old.Orphan()
				s := again(t, etcd, old)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					answer := c.Apply()
					if c.N <= lost {
						return fakeetcd.Lost
					}
					return answer
				})
				term := resumeTerm(t, s)
				etcd.Script(nil)
				if term.Fence() != was.Fence() || term.Key() != was.Key() ||
					shown(etcd, term) != "one" || term.Err() != nil {
					t.Errorf("fence %d, key %s, %v", term.Fence(), term.Key(), term.Err())
				}
				if err := was.Proclaim(t.Context(), "old"); !errors.Is(err, session.ErrNotHeld) {
					t.Errorf("Proclaim of the earlier life = %v", err)
				}
				// longer than the lease, and long enough that the key is watched
				time.Sleep(time.Minute)
				if err := term.Proclaim(t.Context(), "two"); err != nil ||
					shown(etcd, term) != "two" || !next.waits() {
					t.Errorf("Proclaim = %v, shown %q", err, shown(etcd, term))
				}
				resign(t, term)
				resign(t, next.leads(t))
				if _, err := election.New(s, "a", nil).Resume(t.Context()); !errors.Is(err,
					session.ErrNotHeld) {
					t.Errorf("Resume of what was given back = %v", err)
				}
				resign(t, campaign(t, s, "three"))
			})
		})
	}
}

// TestAResumedTermEndsAsAnyOther: a resumed term ends as any other does.
func TestAResumedTermEndsAsAnyOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		lose  func(etcd *fakeetcd.Server, term *election.Term, s *session.Session)
		cause error
	}{
		{"removed", func(etcd *fakeetcd.Server, term *election.Term, _ *session.Session) {
			etcd.Delete(term.Key())
		}, session.ErrKeyDeleted},
		// deletes the key too
		{"revoked", func(etcd *fakeetcd.Server, _ *election.Term, s *session.Session) {
			etcd.Revoke(s.Lease())
		}, session.ErrLost},
	} {
		for _, compacted := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, compacted), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					old := bubble.Session(t, etcd)
					campaign(t, old, "one")
					old.Orphan()
					s := again(t, etcd, old)
					term := resumeTerm(t, s)
					etcd.Put("other", "")
					if compacted {
						etcd.Compact()
					}
					time.Sleep(5 * time.Second)
					if err := term.Err(); err != nil {
						t.Fatal(err)
					}
					tt.lose(etcd, term, s)
					synctest.Wait()
					if err := context.Cause(term.Context()); !errors.Is(err, tt.cause) ||
						!errors.Is(err, session.ErrLost) {
						t.Errorf("cause = %v", err)
					}
				})
			})
		}
	}
}

// TestAResumedCandidateKeepsItsPlace: a candidate that waited keeps its place.
func TestAResumedCandidateKeepsItsPlace(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		leader := campaign(t, bubble.Session(t, etcd), "leader")
		old := bubble.Session(t, etcd)
		before := goCampaign(t, old, "waits")
		last := goCampaign(t, bubble.Session(t, etcd), "last")
		old.Orphan()
		if <-before.done; !errors.Is(before.err, session.ErrLost) {
			t.Errorf("Campaign of the earlier life = %v", before.err)
		}
		s := again(t, etcd, old)
		resumed := goResume(t, s)
		if _, err := election.New(s, "a", nil).Resume(t.Context()); !errors.Is(err,
			session.ErrNotHeld) {
			t.Errorf("Resume of what another Resume has = %v", err)
		}
		behind := goCampaign(t, s, "behind")
		want := []string{"leader", "waits", "last", "behind"}
		if got := values(t, election.New(s, "a", nil)); !slices.Equal(got, want) ||
			!resumed.waits() {
			t.Errorf("in line: %q", got)
		}
		resign(t, leader)
		resign(t, resumed.leads(t))
		resign(t, last.leads(t))
		resign(t, behind.leads(t))
	})
}

// TestOneOfSeveralResumesContinuesTheOldestCandidacy: of the candidacies that earlier lives have
// left, one of several concurrent Resumes continues the oldest, and the others are removed. The
// candidacies of this life remain.
func TestOneOfSeveralResumesContinuesTheOldestCandidacy(t *testing.T) {
	t.Parallel()
	for _, lossy := range []bool{false, true} {
		for _, leads := range []bool{false, true} {
			t.Run(fmt.Sprint(lossy, leads), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					var leader *election.Term
					if !leads {
						leader = campaign(t, bubble.Session(t, etcd), "leader")
					}
					s := bubble.Session(t, etcd)
					for _, life := range []string{"first", "second", "third"} {
						for i := range 3 {
							goCampaign(t, s, fmt.Sprint(life, i))
						}
						s.Orphan()
						s = again(t, etcd, s)
					}
					own := goCampaign(t, s, "own")
					if lossy {
						etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
							answer := c.Apply()
							if c.Path == "/kv/txn" && c.N%3 == 0 {
								return fakeetcd.Lost
							}
							return answer
						})
					}
					const n = 5
					all := make([]*waiting, n)
					first := make(chan *waiting, n)
					for i := range all {
						w := &waiting{done: make(chan struct{})}
						all[i] = w
						go func() {
							defer close(w.done)
							defer func() { first <- w }()
							w.term, w.err = election.New(s, "a", nil).Resume(t.Context())
						}()
					}
					if leader != nil {
						time.Sleep(10 * time.Second) // for lost answers
						if got, want := values(t, election.New(s, "a", nil)),
							[]string{"leader", "first0", "own"}; !slices.Equal(got, want) {
							t.Errorf("in line: %q, want %q", got, want)
						}
						resign(t, leader)
					}
					var term *election.Term
					for range n {
						switch w := <-first; {
						case w.err == nil && term == nil:
							term = w.term
						case !errors.Is(w.err, session.ErrNotHeld):
							t.Errorf("Resume = %v, %v", w.term, w.err)
						}
					}
					if term == nil {
						t.Fatal("no Resume has worked")
					}
					if got, want := values(t, election.New(s, "a", nil)),
						[]string{"first0", "own"}; !slices.Equal(got, want) {
						t.Errorf("in line: %q, want %q", got, want)
					}
					resign(t, term)
					resign(t, own.leads(t))
				})
			})
		}
	}
}

func TestAResumeWithoutACandidacyIsRefused(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		old := bubble.Session(t, etcd)
		term := campaign(t, old, "one")
		if _, err := election.New(old, "a", nil).Resume(t.Context()); !errors.Is(err,
			session.ErrNotHeld) || term.Err() != nil {
			t.Errorf("Resume in a first life = %v", err)
		}
		behind := goCampaign(t, bubble.Session(t, etcd), "theirs")
		other := bubble.Session(t, etcd)
		other.Orphan()
		s := again(t, etcd, other)
		own := goCampaign(t, s, "own")
		if _, err := election.New(s, "a", nil).Resume(t.Context()); !errors.Is(err,
			session.ErrNotHeld) {
			t.Errorf("Resume where nothing was left = %v", err)
		}
		resign(t, term)
		resign(t, behind.leads(t))
		resign(t, own.leads(t))
	})
}
