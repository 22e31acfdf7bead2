package election_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
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

// TestExploreElections lets a long line of candidates go through random faults. No candidate leads
// while another is ahead of it. When the faults have ended, one leads within a bounded time, and
// after each term the next, which has the highest priority, until all have led.
// HOLDFAST_ELECTION_SEEDS is the number of runs, 2 without it. HOLDFAST_ELECTION_SEED repeats the
// run of one seed.
func TestExploreElections(t *testing.T) {
	t.Parallel()
	runs, _ := strconv.ParseUint(cmp.Or(os.Getenv("HOLDFAST_ELECTION_SEEDS"), "2"), 10, 64)
	first, err := strconv.ParseUint(os.Getenv("HOLDFAST_ELECTION_SEED"), 10, 64)
	if err == nil {
		runs = 1
	}
	for seed := first; seed < first+runs; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				x := &exploration{
					t: t, etcd: etcd, random: rand.New(rand.NewPCG(seed, 0)),
					length: lengths[seed%2], byName: map[string]*candidate{},
				}
				x.explore(rand.New(rand.NewPCG(seed, 1)))
			})
		})
	}
}

// The lengths of the lines are a little above the numbers of members from which a new member
// follows its predecessor, and from which it does that without a read.
var lengths = [2]int{24, 72}

const (
	steps  = 120              // of the faults
	healed = 15 * time.Second // beyond the time to live of the sessions, in which one must lead
	sorted = 2 * time.Minute  // in which the next candidate must be one with the highest priority
)

// exploration is a run with one seed. Its fields belong to the goroutine of the test, unless mu
// guards them.
type exploration struct {
	t      *testing.T
	etcd   *fakeetcd.Server
	random *rand.Rand
	length int // of the line during the faults
	all    []*candidate
	byName map[string]*candidate
	last   int // number of candidates until now

	mu    sync.Mutex
	terms map[int64]*candidate // by the fences
}

// candidate is a call of Campaign or Resume.
type candidate struct {
	name     string
	priority int
	client   *gateway.Client
	s        *session.Session
	e        *election.Election
	cancel   context.CancelFunc
	done     chan struct{} // closed when the call has returned
	term     *election.Term
	err      error
}

func (c *candidate) waits() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func (c *candidate) leads() bool { return !c.waits() && c.err == nil && c.term.Err() == nil }

func (x *exploration) explore(network *rand.Rand) {
	x.fill()
	heal := x.disturb(network)
	for range steps {
		x.step()
		if x.check(); x.t.Failed() {
			x.t.FailNow()
		}
		x.fill()
	}
	heal()
	terms := 0
	for leader := x.awaitLeader(); leader != nil; leader = x.awaitLeader() {
		terms++
		x.check()
		x.awaitOrder(leader)
		x.end(leader)
	}
	x.t.Logf("%d candidates, %d terms, of them %d after the faults", x.last, len(x.terms), terms)
	for _, c := range x.all {
		c.cancel()
		<-c.done
	}
}

// fill lets candidates join until the line is long.
func (x *exploration) fill() {
	x.all = slices.DeleteFunc(x.all, func(c *candidate) bool { return !c.waits() && !c.leads() })
	for len(x.all) < x.length {
		if c := x.newCandidate(); c != nil {
			x.enter(c, func(ctx context.Context) (*election.Term, error) {
				return c.e.Campaign(ctx, c.name)
			})
		}
		if x.random.IntN(3) > 0 {
			synctest.Wait()
		}
	}
}

// newCandidate usually has a client of its own. It returns nil if etcd has not answered.
func (x *exploration) newCandidate() *candidate {
	c := &candidate{client: x.etcd.Client(x.t)}
	if len(x.all) > 0 && x.random.IntN(10) == 0 {
		other := x.all[x.random.IntN(len(x.all))]
		c.client = other.client
		if other.s.Err() == nil && x.random.IntN(2) == 0 {
			c.s = other.s
		}
	}
	if x.random.IntN(5) == 0 {
		c.priority = 1 + x.random.IntN(3)
	}
	if c.s == nil {
		var err error
		if c.s, err = session.New(bubble.Within(x.t, 5*time.Second), c.client, nil); err != nil {
			return nil
		}
		x.closeLater(c.s)
	}
	x.last++
	c.name = strconv.Itoa(x.last)
	c.e = election.New(c.s, "a", &election.Options{Priority: c.priority})
	return c
}

func (x *exploration) closeLater(s *session.Session) {
	x.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // some are lost
	})
}

// enter makes the call of a candidate.
func (x *exploration) enter(
	c *candidate, call func(context.Context) (*election.Term, error),
) {
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(x.t.Context())
	c.done = make(chan struct{})
	x.all = append(x.all, c)
	x.byName[c.name] = c
	go func() {
		defer close(c.done)
		if c.term, c.err = call(ctx); c.err == nil {
			x.grant(c)
		}
	}()
}

// grant checks a term that a call has returned.
func (x *exploration) grant(c *candidate) {
	x.mu.Lock()
	if x.terms == nil {
		x.terms = map[int64]*candidate{}
	}
	before := x.terms[c.term.Fence()]
	x.terms[c.term.Fence()] = c
	x.mu.Unlock()
	if before != nil && before.term.Err() == nil && c.term.Err() == nil {
		x.t.Errorf("%s and %s lead with the same key", before.name, c.name)
	}
	x.checkFirst(c)
}

// check checks all terms.
func (x *exploration) check() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.terms {
		x.checkFirst(c)
	}
}

// checkFirst checks that a term's key is the first of the line for as long as it exists.
func (x *exploration) checkFirst(c *candidate) {
	exists := func() bool {
		kv, _ := x.etcd.Get(c.term.Key())
		return kv.CreateRevision == c.term.Fence()
	}
	if !exists() {
		return
	}
	first := x.line()[0]
	if first.CreateRevision < c.term.Fence() && exists() {
		x.t.Errorf("%s leads with revision %d behind %s of revision %d",
			c.name, c.term.Fence(), first.Key, first.CreateRevision)
	}
}

// line returns the keys of all candidates, in their order.
func (x *exploration) line() (line []gateway.KeyValue) {
	for _, key := range x.etcd.Keys("a/") {
		kv, ok := x.etcd.Get(key)
		if ok && !strings.HasPrefix(key, "a//") {
			line = append(line, kv)
		}
	}
	slices.SortFunc(line, func(a, b gateway.KeyValue) int {
		return cmp.Compare(a.CreateRevision, b.CreateRevision)
	})
	return line
}

// awaitLeader returns the candidate that leads, and nil if none is left.
func (x *exploration) awaitLeader() *candidate {
	for end := time.Now().Add(session.DefaultTTL + healed); ; time.Sleep(100 * time.Millisecond) {
		synctest.Wait()
		left := 0
		var leaders []*candidate
		for _, c := range x.all {
			if c.leads() {
				leaders = append(leaders, c)
			}
			if c.waits() {
				left++
			}
		}
		switch {
		case len(leaders) == 1:
			return leaders[0]
		case len(leaders)+left == 0:
			return nil
		case time.Now().After(end):
			x.t.Fatalf("%d lead, %d wait\n%s", len(leaders), left, x.describe())
		}
	}
}

// awaitOrder waits until the next candidate is one with the highest priority.
func (x *exploration) awaitOrder(leader *candidate) {
	for end := time.Now().Add(sorted); ; time.Sleep(100 * time.Millisecond) {
		synctest.Wait()
		all, err := leader.e.Candidates(x.t.Context())
		switch {
		case err != nil:
			x.t.Fatal(err)
		case len(all) < 2 || !slices.ContainsFunc(all[2:], func(c election.Candidate) bool {
			return c.Priority > all[1].Priority
		}):
			return
		case time.Now().After(end):
			x.t.Fatalf("the next has a low priority\n%s", x.describe())
		}
	}
}

// describe shows the line and its candidates.
func (x *exploration) describe() string {
	var b strings.Builder
	for i, kv := range x.line() {
		name, _, _ := strings.Cut(string(kv.Value), "!")
		fmt.Fprintf(&b, "%d. %s of %d, put in %d: %s", i, kv.Key, kv.CreateRevision, kv.ModRevision, name)
		if c := x.byName[name]; c != nil {
			fmt.Fprintf(&b, ", waits %v, session %v", c.waits(), c.s.Err())
			if !c.waits() && c.err == nil {
				fmt.Fprintf(&b, ", term %v", c.term.Err())
			} else if !c.waits() {
				fmt.Fprintf(&b, ", %v", c.err)
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintln(&b, "settings", x.etcd.Keys("a//"))
	return b.String()
}
