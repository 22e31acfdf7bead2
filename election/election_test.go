package election_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

func TestABadNameIsRejected(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		rev := etcd.Revision()
		for _, name := range []string{"", "holdfast/sessions", "holdfast/sessions/x"} {
			e := election.New(s, name, nil)
			for verb, call := range map[string]func() error{
				"campaign":   func() error { _, err := e.Campaign(t.Context(), "v"); return err },
				"leader":     func() error { _, err := e.Leader(t.Context()); return err },
				"candidates": func() error { _, err := e.Candidates(t.Context()); return err },
				"observe": func() (last error) {
					for _, last = range e.Observe(t.Context()) {
					}
					return last
				},
				"campaign by Run": func() error {
					return e.Run(t.Context(), "v", func(context.Context, *election.Term) error {
						t.Error("called")
						return nil
					})
				},
			} {
				if err := call(); !errors.Is(err, gateway.ErrInvalid) ||
					!strings.HasPrefix(err.Error(), "election: ") {
					t.Errorf("%s %q = %v", verb, name, err)
				}
			}
		}
		if etcd.Revision() != rev {
			t.Error("something was written")
		}
	})
}

func TestCandidatesAreListedInTheirOrder(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		e := election.New(other, "a", nil)
		if _, err := e.Leader(t.Context()); !errors.Is(err, election.ErrNoLeader) ||
			err.Error() != `election: leader "a": no leader` {
			t.Errorf("Leader of nobody = %v", err)
		}
		term := campaign(t, s, "one")
		etcd.Put("a/stranger", "two")
		want := election.Leader{
			Key: term.Key(), Lease: s.Lease(), Fence: term.Fence(),
			Value: "one", Revision: etcd.Revision(),
		}
		if got, err := e.Leader(t.Context()); err != nil || got != want {
			t.Errorf("Leader = %+v, %v, want %+v", got, err, want)
		}
		all, err := e.Candidates(t.Context())
		if err != nil || len(all) != 2 || all[0].Session == nil || all[0].Session.Name != "me" ||
			all[0].Key != term.Key() ||
			all[1].Key != "a/stranger" || all[1].Value != "two" || all[1].Lease != 0 ||
			all[1].Session != nil {
			t.Errorf("Candidates = %+v, %v", all, err)
		}
		resign(t, term)
		err = term.Resign(t.Context())
		if !errors.Is(err, session.ErrNotHeld) || err.Error() != `election: resign "a": not held` {
			t.Errorf("second Resign = %v", err)
		}
		if got, err := e.Leader(t.Context()); err != nil || got.Value != "two" {
			t.Errorf("Leader = %+v, %v", got, err)
		}
		etcd.Delete("a/stranger")
	})
}

func TestACampaignNamesTheReasonOfItsEnd(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		term := campaign(t, other, "one")
		_, err := election.New(s, "a", nil).Campaign(bubble.Within(t, time.Second), "two")
		if !errors.Is(err, context.DeadlineExceeded) ||
			!strings.HasPrefix(err.Error(), `election: campaign "a": `) {
			t.Errorf("Campaign = %v", err)
		}
		resign(t, term)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := election.New(s, "a", nil).Campaign(t.Context(), "two"); !errors.Is(err,
			session.ErrClosed) {
			t.Errorf("Campaign after Close = %v", err)
		}
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

// TestAProclaimCountsOnceWhenItsAnswerIsLost: the first answers are lost, before or after the write
// was applied; copies arrive late.
func TestAProclaimCountsOnceWhenItsAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			term := campaign(t, bubble.Session(t, etcd), "one")
			var copies []*fakeetcd.Call
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if !c.IsTxn("a/") || len(copies) == 2 {
					return c.Apply()
				}
				copies = append(copies, c)
				if applied {
					c.Apply()
				}
				return fakeetcd.Lost
			})
			if err := term.Proclaim(t.Context(), "two"); err != nil || shown(etcd, term) != "two" ||
				len(copies) != 2 {
				t.Errorf("Proclaim = %v, shows %q after %d lost answers", err, shown(etcd, term),
					len(copies))
			}
			if err := term.Proclaim(t.Context(), "three"); err != nil {
				t.Error(err)
			}
			for _, c := range copies {
				c.Apply()
			}
			if got := shown(etcd, term); got != "three" {
				t.Errorf("a late copy has changed it to %q", got)
			}
			resign(t, term)
			again := campaign(t, bubble.Session(t, etcd), "four")
			for _, c := range copies {
				c.Apply()
			}
			if got := shown(etcd, again); got != "four" || len(etcd.Keys("a/")) != 1 {
				t.Errorf("a late copy has changed it to %q, %v", got, etcd.Keys("a/"))
			}
			resign(t, again)
		})
	}
}

// TestAProclaimThatWasCutOffDoesNotOverwriteTheNext: a Proclaim whose ctx ended cannot overwrite
// the value of the next one.
func TestAProclaimThatWasCutOffDoesNotOverwriteTheNext(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		term := campaign(t, bubble.Session(t, etcd), "one")
		var late *fakeetcd.Call
		// the first arrives late, and resolving it takes a while
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case c.Path != "/kv/txn":
			case late == nil:
				late = c
				return c.Silence()
			case !c.IsTxn("two") && !c.IsTxn("three"):
				c.Sleep(300 * time.Millisecond)
			}
			return c.Apply()
		})
		err := term.Proclaim(bubble.Within(t, 100*time.Millisecond), "two")
		if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Proclaim = %v", err)
		}
		if err := term.Proclaim(bubble.Within(t, 100*time.Millisecond), "never"); !errors.Is(err,
			context.DeadlineExceeded) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Proclaim while the first is settled = %v", err)
		}
		if err := term.Proclaim(t.Context(), "three"); err != nil {
			t.Error(err)
		}
		late.Apply()
		if got := shown(etcd, term); got != "three" {
			t.Errorf("shows %q", got)
		}
		etcd.Script(nil)
		resign(t, term)
	})
}

// TestARefusedProclaimDoesNotBlockTheNext: a Proclaim that the server rejected does not block the
// next one.
func TestARefusedProclaimDoesNotBlockTheNext(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		term := campaign(t, bubble.Session(t, etcd), "one")
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
		if err := term.Proclaim(t.Context(), "two"); !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("Proclaim = %v", err)
		}
		etcd.Script(nil)
		if err := term.Proclaim(bubble.Within(t, time.Second), "three"); err != nil {
			t.Error(err)
		}
		resign(t, term)
	})
}

// TestAProclaimThatWaitsEndsWithItsTerm: a Proclaim that waits for an unresolved one ends with the
// term.
func TestAProclaimThatWaitsEndsWithItsTerm(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		term := campaign(t, bubble.Session(t, etcd), "one")
		etcd.Freeze()
		if err := term.Proclaim(bubble.Within(t, time.Second), "two"); !errors.Is(err,
			gateway.ErrUncertain) {
			t.Errorf("Proclaim = %v", err)
		}
		if err := term.Proclaim(t.Context(), "three"); !errors.Is(err, session.ErrNotHeld) ||
			!errors.Is(err, session.ErrExpired) {
			t.Errorf("Proclaim = %v", err)
		}
		etcd.Thaw()
	})
}

func TestAProclaimWithoutTheLeadIsRefused(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*fakeetcd.Server, *session.Session,
		*election.Term) error{
		"resigned": func(_ *fakeetcd.Server, _ *session.Session, term *election.Term) error {
			return term.Resign(context.Background())
		},
		"closed": func(_ *fakeetcd.Server, s *session.Session, _ *election.Term) error {
			return s.Close(context.Background())
		},
		"revoked": func(etcd *fakeetcd.Server, s *session.Session, _ *election.Term) error {
			etcd.Revoke(s.Lease())
			return nil
		},
		"removed": func(etcd *fakeetcd.Server, _ *session.Session, term *election.Term) error {
			etcd.Delete(term.Key())
			return nil
		},
		"replaced": func(etcd *fakeetcd.Server, _ *session.Session, term *election.Term) error {
			etcd.Delete(term.Key())
			etcd.Put(term.Key(), "other")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				term := campaign(t, s, "one")
				if err := end(etcd, s, term); err != nil {
					t.Fatal(err)
				}
				if err := term.Proclaim(t.Context(), "two"); !errors.Is(err, session.ErrNotHeld) ||
					!strings.HasPrefix(err.Error(), `election: proclaim "a": not held`) {
					t.Errorf("Proclaim = %v", err)
				}
				if got := shown(etcd, term); got == "two" {
					t.Error("it was shown all the same")
				}
			})
		})
	}
}

// TestObserveReturnsChangesAndTheLastState: only changes of the leader and its value are returned,
// and always the last state.
func TestObserveReturnsChangesAndTheLastState(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		var last int64 = -1
		done := make(chan error)
		go func() {
			for ev, err := range election.New(other, "a", nil).Observe(ctx) {
				if err != nil {
					done <- err
					continue // must be the last
				}
				if ev.Revision <= last {
					t.Errorf("revision %d after %d", ev.Revision, last)
				}
				last = ev.Revision
				if ev.Leader == nil {
					seen = append(seen, "none")
				} else {
					seen = append(seen, ev.Leader.Value)
				}
			}
			close(done)
		}()
		synctest.Wait()
		term := campaign(t, s, "one")
		synctest.Wait()
		etcd.Put("a/later", "behind")
		etcd.Put("a/b/c", "another election")
		etcd.Touch(term.Key())
		synctest.Wait()
		if err := term.Proclaim(t.Context(), "two"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		etcd.Compact()
		etcd.BreakWatches(false)
		time.Sleep(time.Minute)
		resign(t, term)
		synctest.Wait()
		etcd.Delete("a/later")
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) ||
			!strings.HasPrefix(err.Error(), `election: observe "a": `) {
			t.Errorf("last = %v", err)
		}
		if err, more := <-done; more {
			t.Errorf("another pair after the error: %v", err)
		}
		if got, want := strings.Join(seen, " "), "none one two behind none"; got != want {
			t.Errorf("saw %s, want %s", got, want)
		}
	})
}

// TestObserveEndsWithItsSessionAndItsLoop: Observe ends with its session, and when the loop breaks.
func TestObserveEndsWithItsSessionAndItsLoop(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		for ev, err := range election.New(s, "a", nil).Observe(t.Context()) {
			if err != nil || ev.Leader != nil {
				t.Errorf("%+v, %v", ev, err)
			}
			break
		}
		time.AfterFunc(time.Second, func() { etcd.Revoke(s.Lease()) })
		n := 0
		for _, err := range election.New(s, "a", nil).Observe(t.Context()) {
			if n++; n == 2 && !errors.Is(err, session.ErrRevoked) || n > 2 {
				t.Errorf("%d: %v", n, err)
			}
		}
		if n != 2 {
			t.Errorf("%d pairs", n)
		}
	})
}

func TestACampaignWaitsForTheLockDelay(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		if _, err := election.New(s, "a",
			&election.Options{LockDelay: time.Minute}).Campaign(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.AfterFunc(time.Second, func() { etcd.Revoke(s.Lease()) })
		term, err := election.New(other, "a",
			&election.Options{LockDelay: time.Minute}).Campaign(t.Context(), "two")
		if err != nil || time.Since(start) != time.Minute+time.Second {
			t.Fatalf("Campaign = %v after %v", err, time.Since(start))
		}
		resign(t, term)
	})
}
