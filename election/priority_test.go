package election_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// enter starts a candidate, which sends its value to led when it leads, and resigns when a value is
// received from resign.
func enter(
	t *testing.T, s *session.Session, value string, priority int, led chan<- string,
	resign <-chan bool,
) {
	t.Helper()
	e := election.New(s, "a", &election.Options{Priority: priority})
	go func() {
		term, err := e.Campaign(t.Context(), value)
		if err != nil {
			led <- err.Error()
			return
		}
		led <- value
		<-resign
		if err := term.Resign(t.Context()); err != nil {
			led <- err.Error()
		}
	}()
	synctest.Wait()
}

// TestHighestPriorityLeads: candidates lead by priority, and with equal ones in their order, also
// while answers are lost.
func TestHighestPriorityLeads(t *testing.T) {
	t.Parallel()
	for _, lossy := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			leader := campaign(t, bubble.Session(t, etcd), "0")
			led, next := make(chan string, 8), make(chan bool)
			if lossy {
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					answer := c.Apply()
					if c.Path == "/kv/txn" && c.N%4 == 0 {
						return fakeetcd.Lost
					}
					return answer
				})
			}
			for i, p := range []int{0, 0, 5, 1, 5, 0, 9} {
				enter(t, bubble.Session(t, etcd), fmt.Sprint(p, "#", i), p, led, next)
				time.Sleep(time.Minute)
			}
			resign(t, leader)
			for _, want := range []string{"9#6", "5#2", "5#4", "1#3", "0#0", "0#1", "0#5"} {
				if got := <-led; got != want {
					t.Errorf("%s leads, not %s", got, want)
				}
				time.Sleep(time.Minute) // others let higher priorities pass
				next <- true
			}
			time.Sleep(time.Minute)
			if keys := etcd.Keys("a/"); len(keys) > 0 {
				t.Errorf("%q are left", keys)
			}
		})
	}
}

// TestACandidateThatIsOutrankedAtItsTurnDoesNotLead: the leader ends before the line has its order.
func TestACandidateThatIsOutrankedAtItsTurnDoesNotLead(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		leader := bubble.Session(t, etcd)
		campaign(t, leader, "0")
		led, next := make(chan string, 8), make(chan bool)
		enter(t, bubble.Session(t, etcd), "low", 0, led, next)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			c.Sleep(time.Second) // low cannot step aside in time
			return c.Apply()
		})
		enter(t, bubble.Session(t, etcd), "high", 3, led, next)
		time.Sleep(1500 * time.Millisecond)
		etcd.Revoke(leader.Lease())
		if got := <-led; got != "high" {
			t.Errorf("%s leads", got)
		}
		next <- true
		if got := <-led; got != "low" {
			t.Errorf("then %s leads", got)
		}
		next <- true
	})
}

// TestForeignCandidatesHaveNoPriority: a key of another library leads when its turn comes, and
// candidates with a priority wait for it.
func TestForeignCandidatesHaveNoPriority(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		leader := campaign(t, bubble.Session(t, etcd), "0")
		etcd.Put("a/6dd18b3364141523", "foreign")
		led, next := make(chan string, 8), make(chan bool)
		enter(t, bubble.Session(t, etcd), "low", 0, led, next)
		enter(t, bubble.Session(t, etcd), "high", 7, led, next)
		time.Sleep(time.Minute)
		all, err := election.New(bubble.Session(t, etcd), "a", nil).Candidates(t.Context())
		if err != nil || len(all) != 4 || all[1].Priority != 0 || all[1].Value != "foreign" {
			t.Fatalf("%+v, %v", all, err)
		}
		resign(t, leader)
		time.Sleep(time.Minute)
		if len(led) > 0 {
			t.Errorf("%s leads", <-led)
		}
		etcd.Delete("a/6dd18b3364141523")
		if got := <-led; got != "high" {
			t.Errorf("%s leads", got)
		}
		next <- true
		<-led
		next <- true
	})
}

func TestPrioritiesOutOfRange(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		for _, p := range []int{-1, election.MaxPriority + 1} {
			e := election.New(bubble.Session(t, etcd), "a", &election.Options{Priority: p})
			_, err := e.Campaign(t.Context(), "x")
			_, tried := e.TryCampaign(t.Context(), "x")
			if !errors.Is(err, gateway.ErrInvalid) || !errors.Is(tried, gateway.ErrInvalid) {
				t.Errorf("%v, %v", err, tried)
			}
		}
	})
}

// preempt runs a candidate whose terms can be pre-empted, and checks that two functions never run
// at once. running has the values of the candidates whose functions run.
type preempt struct {
	t       *testing.T
	mu      sync.Mutex
	lives   map[string]*session.Session
	revoked bool // a lease was revoked, which its session has to notice
	running []string
	terms   []string
	causes  []error
}

func (p *preempt) start(s *session.Session, value string, priority int) (stop func()) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	e := election.New(s, "a", &election.Options{Priority: priority, Preempt: true})
	go func() {
		done <- e.Run(ctx, value, func(ctx context.Context, term *election.Term) error {
			p.mu.Lock()
			for _, other := range p.running {
				if p.lives[other].Err() == nil && !p.revoked { // else its function ends
					p.t.Errorf("%s leads beside %s", value, other)
				}
			}
			p.lives[value] = s
			p.running, p.terms = append(p.running, value), append(p.terms, value)
			p.mu.Unlock()
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond) // the work ends
			p.mu.Lock()
			defer p.mu.Unlock()
			p.running = slices.DeleteFunc(p.running, func(v string) bool { return v == value })
			p.causes = append(p.causes, context.Cause(ctx))
			return context.Cause(ctx)
		})
	}()
	synctest.Wait()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err == nil {
			p.t.Errorf("Run of %s returned nil", value)
		}
	})
}

func (p *preempt) want(running string) {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.running) != 1 || p.running[0] != running {
		p.t.Errorf("%q lead, not %s", p.running, running)
	}
}

func TestPreemption(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		p := &preempt{t: t, lives: map[string]*session.Session{}}
		low := p.start(bubble.Session(t, etcd), "low", 1)
		p.want("low")
		equal := p.start(bubble.Session(t, etcd), "equal", 1)
		time.Sleep(time.Minute)
		p.want("low")
		highSession := bubble.Session(t, etcd)
		high := p.start(highSession, "high", 2)
		time.Sleep(time.Second)
		p.want("high")
		if len(p.causes) != 1 || !errors.Is(p.causes[0], election.ErrPreempted) {
			t.Errorf("causes %v", p.causes)
		}
		high()
		time.Sleep(time.Second)
		p.want("equal") // it came first, because low has joined again
		low()
		equal()
		if keys := etcd.Keys("a/"); len(keys) > 0 {
			t.Errorf("%q are left", keys)
		}
	})
}

// TestPreemptionByACandidateThatDies: it dies while the leader's function ends. The next one leads,
// and the leader is a candidate again.
func TestPreemptionByACandidateThatDies(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		p := &preempt{t: t, lives: map[string]*session.Session{}}
		low := p.start(bubble.Session(t, etcd), "low", 1)
		next := p.start(bubble.Session(t, etcd), "next", 0)
		high := bubble.Session(t, etcd)
		dies := p.start(high, "high", 2)
		time.Sleep(50 * time.Millisecond)
		etcd.Revoke(high.Lease())
		time.Sleep(10 * time.Second)
		p.want("low") // next has let it pass, or it has pre-empted next
		low()
		time.Sleep(time.Second)
		p.want("next")
		next()
		dies()
	})
}

// TestLeaderLosesItsSessionDuringPreemption: the other candidate leads when the lease has ended.
func TestLeaderLosesItsSessionDuringPreemption(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		p := &preempt{t: t, lives: map[string]*session.Session{}}
		lowSession := bubble.Session(t, etcd)
		low := p.start(lowSession, "low", 1)
		high := p.start(bubble.Session(t, etcd), "high", 2)
		time.Sleep(50 * time.Millisecond)
		p.revoked = true
		etcd.Revoke(lowSession.Lease())
		time.Sleep(time.Minute)
		p.want("high")
		low()
		high()
	})
}

// TestRandomPriorities: candidates come, go, die, and lose answers at random. No two functions run
// at once while their sessions live, and in the end the highest priority leads.
func TestRandomPriorities(t *testing.T) {
	t.Parallel()
	for range 3 {
		seed := rand.Uint64()
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			r := rand.New(rand.NewPCG(seed, 0))
			p := &preempt{t: t, lives: map[string]*session.Session{}}
			stops := map[string]func(){}
			priorities := map[string]int{}
			for step := range 40 {
				switch r.IntN(4) {
				case 0, 1:
					value := fmt.Sprint("c", step)
					priorities[value] = r.IntN(4)
					stops[value] = p.start(bubble.Session(t, etcd), value, priorities[value])
				case 2:
					for value, stop := range stops {
						delete(stops, value)
						stop()
						break
					}
				case 3:
					n := r.IntN(6)
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						a := c.Apply()
						if c.N == n {
							return fakeetcd.Lost
						}
						return a
					})
				}
				time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
			}
			etcd.Script(nil)
			time.Sleep(time.Minute)
			synctest.Wait()
			best := -1
			for value := range stops {
				best = max(best, priorities[value])
			}
			p.mu.Lock()
			if len(stops) > 0 && (len(p.running) != 1 || priorities[p.running[0]] != best) {
				t.Errorf("%q lead, the highest priority is %d", p.running, best)
			}
			p.mu.Unlock()
			for _, stop := range stops {
				stop()
			}
			time.Sleep(time.Minute)
			if keys := etcd.Keys("a/"); len(keys) > 0 {
				t.Errorf("%q are left", keys)
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestReady: a candidate that is not ready does not join, and one that is not ready at its turn
// lets the next one lead.
func TestReady(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		leader := campaign(t, bubble.Session(t, etcd), "0")
		var mu sync.Mutex
		ready := false
		set := func(to bool) { mu.Lock(); defer mu.Unlock(); ready = to }
		e := election.New(bubble.Session(t, etcd), "a", &election.Options{
			Priority: 5,
			Ready: func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if !ready {
					return errors.New("warming up")
				}
				return nil
			},
		})
		led, next := make(chan string, 2), make(chan bool)
		go func() {
			term, err := e.Campaign(t.Context(), "x")
			if err != nil {
				led <- err.Error()
				return
			}
			led <- "x"
			resign(t, term)
		}()
		time.Sleep(time.Minute)
		if keys := etcd.Keys("a/"); len(keys) != 1 {
			t.Errorf("joined while it was not ready: %q", keys)
		}
		set(true)
		time.Sleep(time.Minute)
		enter(t, bubble.Session(t, etcd), "y", 0, led, next)
		set(false)
		resign(t, leader)
		if got := <-led; got != "y" {
			t.Errorf("%s leads", got)
		}
		set(true)
		time.Sleep(time.Minute)
		next <- true
		if got := <-led; got != "x" {
			t.Errorf("%s leads", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		set(false)
		if _, err := e.Campaign(ctx, "z"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Campaign = %v", err)
		}
	})
}
