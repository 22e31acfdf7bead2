package election_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestAPutThatIsNoNoteMakesNoLeader: the key of a candidate far back is put again and then deleted,
// as by a leader that notes its term and resigns.
func TestAPutThatIsNoNoteMakesNoLeader(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n, far = 40, 30
		leader, all, led := parade(t, etcd, n)
		etcd.Touch(all[far].Key)
		synctest.Wait()
		etcd.Delete(all[far].Key)
		<-led // its error
		time.Sleep(time.Minute)
		if len(led) > 0 {
			t.Fatalf("%q led beside the leader", <-led)
		}
		resign(t, leader)
		for i := range n {
			if i+1 == far {
				continue
			}
			if got, want := <-led, string(rune('1'+i)); got != want {
				t.Fatalf("%q led, not %q", got, want)
			}
		}
	})
}

// TestAPriorityThatIsSeenLateLeads: the next candidate is notified of the end of a term before it
// is notified of a candidate with a priority, which joined before that.
func TestAPriorityThatIsSeenLateLeads(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n = 40
		leader, all, led := parade(t, etcd, n)
		for _, c := range all[1 : n-1] {
			etcd.Delete(c.Key)
			<-led
		}
		time.Sleep(time.Minute)
		var joined atomic.Bool
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			// The first is the read of the next candidate.
			if c.Path == "/kv/txn" && joined.CompareAndSwap(false, true) {
				etcd.Put("a/06dd18b3364141523-p5", "high")
			}
			return c.Apply()
		})
		etcd.Delete(leader.Key())
		time.Sleep(time.Minute)
		if !joined.Load() || len(led) > 0 {
			t.Errorf("joined %v, %d led", joined.Load(), len(led))
		}
		etcd.Delete("a/06dd18b3364141523-p5")
		<-led
		<-led
	})
}

// TestTheReadsOfANextCandidateDoNotGrow counts the bytes of its reads.
func TestTheReadsOfANextCandidateDoNotGrow(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n = 80
		leader, _, led := parade(t, etcd, n)
		most := 0
		var mu sync.Mutex
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			mu.Lock()
			defer mu.Unlock()
			answer := c.Apply()
			if len(led) > 16 && len(led) < n-20 {
				most = max(most, len(answer.Body))
			}
			return answer
		})
		resign(t, leader)
		time.Sleep(time.Minute)
		for range n {
			<-led
		}
		if most == 0 || most > 2000 {
			t.Errorf("an answer of %d bytes", most)
		}
	})
}

// runner is a candidate of a random test.
type runner struct {
	s        *session.Session
	priority int
	cancel   context.CancelFunc
	done     chan struct{} // closed at the end of Campaign
	term     *election.Term
	err      error
}

func run(t *testing.T, etcd *fakeetcd.Server, priority int) *runner {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c := &runner{
		s: bubble.Session(t, etcd), priority: priority, cancel: cancel, done: make(chan struct{}),
	}
	e := election.New(c.s, "a", &election.Options{Priority: priority})
	go func() {
		defer close(c.done)
		c.term, c.err = e.Campaign(ctx, strconv.Itoa(priority))
	}()
	return c
}

func (c *runner) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *runner) leads() bool { return c.ended() && c.err == nil && c.term.Err() == nil }

// TestRandomTermsOfALongLine compares the terms with the keys at etcd while random things happen:
// the first candidate leads and no other, and the next one has the highest priority.
func TestRandomTermsOfALongLine(t *testing.T) {
	t.Parallel()
	seeds := 2
	if os.Getenv("HOLDFAST_LINE") == "long" {
		seeds = 60
	}
	for range seeds {
		seed := rand.Uint64()
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			r := rand.New(rand.NewPCG(seed, 0))
			observer := election.New(bubble.Session(t, etcd), "a", nil)
			var all []*runner
			for range 50 {
				all = append(all, run(t, etcd, max(0, r.IntN(20)-17)))
				if r.IntN(3) > 0 {
					synctest.Wait()
				}
			}
			for joins := 10; len(all) > 0; {
				pause := 5 * time.Second
				for range 1 + r.IntN(6) {
					if joins > 0 && r.IntN(8) == 0 {
						joins--
						all = append(all, run(t, etcd, r.IntN(4)))
					}
					c := all[r.IntN(min(len(all), 12))]
					for _, o := range all {
						if o.leads() && r.IntN(2) == 0 {
							c = o
						}
					}
					pause = max(pause, unsettle(t, etcd, r, c))
				}
				etcd.Script(nil)
				etcd.BreakWatches(false)
				time.Sleep(pause)
				all = compare(t, observer, all, seed)
			}
		})
	}
}

// unsettle changes the line, or breaks the watches of the candidates. It returns the time after
// which all have noticed.
func unsettle(
	t *testing.T, etcd *fakeetcd.Server, r *rand.Rand, c *runner,
) (pause time.Duration) {
	t.Helper()
	switch what := r.IntN(16); what {
	default:
		if c.leads() {
			if err := c.term.Resign(t.Context()); err != nil && !errors.Is(err, session.ErrNotHeld) {
				t.Error(err)
			}
		}
	case 0:
		if !c.ended() {
			c.cancel()
		}
	case 1:
		etcd.Revoke(c.s.Lease())
	case 2, 3:
		for _, key := range etcd.Keys("a/") {
			if r.IntN(20) == 0 {
				if what == 2 {
					etcd.Touch(key)
				} else {
					etcd.Delete(key)
				}
			}
		}
	case 4:
		etcd.BreakWatches(r.IntN(2) == 0)
		return time.Minute
	case 5:
		etcd.Compact()
	case 6:
		time.Sleep(time.Duration(r.IntN(int(2 * time.Second))))
	case 7:
		n := 2 + r.IntN(6)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if answer := c.Apply(); c.N%n != 0 {
				return answer
			}
			return fakeetcd.Lost
		})
		return time.Minute
	}
	return 0
}

// compare compares the terms with the line, and returns the candidates that are left in it.
func compare(
	t *testing.T, observer *election.Election, all []*runner, seed uint64,
) (left []*runner) {
	t.Helper()
	line, err := observer.Candidates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var leaders []gateway.LeaseID
	for _, c := range all {
		if c.leads() {
			leaders = append(leaders, c.s.Lease())
		}
		in := slices.ContainsFunc(line, func(o election.Candidate) bool {
			return o.Lease == c.s.Lease()
		})
		if in {
			left = append(left, c)
		} else if !c.ended() {
			t.Fatalf("seed %d: a candidate neither waits nor has failed", seed)
		}
	}
	if len(line) != len(left) {
		t.Fatalf("seed %d: %d candidates, of which %d are known", seed, len(line), len(left))
	}
	if len(line) == 0 {
		return nil
	}
	if len(leaders) != 1 || leaders[0] != line[0].Lease {
		t.Fatalf("seed %d: %v lead, and %v is the first", seed, leaders, line[0].Lease)
	}
	for _, c := range line[1:] {
		if c.Priority > line[1].Priority {
			t.Fatalf("seed %d: %d is next, and %d waits", seed, line[1].Priority, c.Priority)
		}
	}
	return left
}
