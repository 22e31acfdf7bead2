package election_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// shortTerm is shorter than the time after which a leader puts its note.
const shortTerm = 50 * time.Millisecond

// parade returns a leader "0" with candidates "1" to "n" behind it, each with its own session. led
// receives the value of each candidate that leads, or its error.
func parade(
	t *testing.T, etcd *fakeetcd.Server, n int,
) (leader *election.Term, all []election.Candidate, led chan string) {
	t.Helper()
	leader = campaign(t, bubble.Session(t, etcd), "0")
	led = make(chan string, n)
	for i := range n {
		e, value := election.New(bubble.Session(t, etcd), "a", nil), string(rune('1'+i))
		go func() {
			term, err := e.Campaign(t.Context(), value)
			if err != nil {
				led <- err.Error()
				return
			}
			time.Sleep(shortTerm)
			led <- value
			if err := term.Resign(t.Context()); err != nil {
				led <- err.Error()
			}
		}()
		synctest.Wait()
	}
	all, err := election.New(bubble.Session(t, etcd), "a", nil).Candidates(t.Context())
	if err != nil || len(all) != n+1 {
		t.Fatal(all, err)
	}
	return leader, all, led
}

func TestTransferToLetsTheNamedCandidateLead(t *testing.T) {
	t.Parallel()
	for to := 1; to <= 4; to++ {
		for _, lossy := range []bool{false, true} {
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				leader, all, led := parade(t, etcd, 4)
				if lossy {
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						answer := c.Apply()
						if c.Path == "/kv/txn" && c.N%3 == 0 {
							return fakeetcd.Lost
						}
						return answer
					})
				}
				if err := leader.TransferTo(t.Context(), all[to]); err != nil {
					t.Error(err)
				}
				if got := <-led; got != all[to].Value {
					t.Errorf("%s leads, not %s", got, all[to].Value)
				}
				got := map[string]bool{}
				for range 3 {
					got[<-led] = true
				}
				time.Sleep(time.Minute)
				if len(got) != 3 || len(etcd.Keys("a/")) != 0 {
					t.Errorf("then %v; left: %v", got, etcd.Keys("a/"))
				}
			})
		}
	}
}

// TestTransferToChangesNothingWhileAnotherIsAhead: while a candidate that does not step aside is
// ahead, the term and the order of the line do not change.
func TestTransferToChangesNothingWhileAnotherIsAhead(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		leader := campaign(t, bubble.Session(t, etcd), "0")
		etcd.Put("a/stranger", "stranger")
		s := bubble.Session(t, etcd)
		led := make(chan *election.Term)
		go func() {
			term, err := election.New(s, "a", nil).Campaign(t.Context(), "1")
			if err != nil {
				t.Error(err)
			}
			led <- term
		}()
		synctest.Wait()
		all, err := election.New(s, "a", nil).Candidates(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := leader.TransferTo(bubble.Within(t, time.Second), all[2]); !errors.Is(err,
			context.DeadlineExceeded) || leader.Err() != nil {
			t.Errorf("TransferTo = %v, term %v", err, leader.Err())
		}
		synctest.Wait()
		if keys := etcd.Keys("a//"); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
		time.AfterFunc(time.Second, func() { etcd.Delete("a/stranger") })
		if err := leader.TransferTo(t.Context(), all[2]); err != nil {
			t.Error(err)
		}
		resign(t, <-led)
	})
}

func TestTransferToOfNoCandidateIsAnError(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		leader, all, led := parade(t, etcd, 1)
		old := all[1]
		old.Fence++
		for _, to := range []election.Candidate{old, all[0], {Key: "a/x", Fence: 1 << 40}} {
			if err := leader.TransferTo(t.Context(), to); !errors.Is(err,
				election.ErrNoCandidate) || leader.Err() != nil {
				t.Errorf("TransferTo for %+v = %v, term %v", to, err, leader.Err())
			}
		}
		time.Sleep(time.Second)
		if kv, _ := etcd.Get(all[1].Key); kv.CreateRevision != all[1].Fence {
			t.Error("a candidate was disturbed")
		}
		if err := leader.TransferTo(t.Context(), all[1]); err != nil {
			t.Error(err)
		}
		<-led
		if err := leader.TransferTo(t.Context(), all[1]); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("TransferTo again = %v", err)
		}
		leader, all, led = parade(t, etcd, 2)
		stepped := make(chan error)
		etcd.Put("a/stranger", "")
		all = append(all, election.Candidate{Key: "a/stranger", Fence: etcd.Revision()})
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { c.Sleep(time.Second); return c.Apply() })
		go func() { stepped <- leader.TransferTo(t.Context(), all[3]) }()
		time.Sleep(1500 * time.Millisecond)
		etcd.Delete(leader.Key())
		if err := <-stepped; !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("TransferTo of one that was removed = %v", err)
		}
		etcd.Delete("a/stranger")
		etcd.Script(nil)
		<-led
		<-led
		time.Sleep(time.Minute)
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

func TestTransferToEndsWithALostTerm(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		leader := campaign(t, bubble.Session(t, etcd), "0")
		etcd.Put("a/stranger", "")
		etcd.Put("a/chosen", "")
		all, err := election.New(bubble.Session(t, etcd), "a", nil).Candidates(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { etcd.Revoke(all[0].Lease) })
		if err := leader.TransferTo(t.Context(), all[2]); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("TransferTo = %v", err)
		}
		if keys := etcd.Keys("a//"); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}
