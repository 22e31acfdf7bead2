package queue_test

import (
	"context"
	"errors"
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

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestModel runs random producers, with and without a session, and consumers of several processes,
// and removes items, with lost answers, slow answers, broken watches, lost sessions and crashed
// consumers. After each transaction it compares
// etcd's keys with the rules for claims, and in the end the fate of each item with the calls that
// were made. HOLDFAST_QUEUE_SEEDS is the number of runs; HOLDFAST_QUEUE_SEED runs one of them.
func TestModel(t *testing.T) {
	t.Parallel()
	runModel(t, 20, func(*testing.T, uint64) {})
}

// TestModelWithSmallSizes is TestModel with small sizes of reads, of what is kept and of gaps, so
// that few items reach the rules for many. It is not parallel, because the sizes are for all tests.
func TestModelWithSmallSizes(t *testing.T) { //nolint:paralleltest // see above
	runModel(t, 6, func(t *testing.T, seed uint64) {
		t.Helper()
		queue.SetSmallSizes(t, rand.New(rand.NewPCG(seed, 2)))
	})
}

// runModel runs the model with some seeds, by default with so many, and calls setup before each.
func runModel(t *testing.T, unset int, setup func(t *testing.T, seed uint64)) {
	t.Helper()
	number := func(name string, unset int) int {
		n, err := strconv.Atoi(os.Getenv(name))
		if err != nil {
			return unset
		}
		return n
	}
	first, runs := 0, number("HOLDFAST_QUEUE_SEEDS", unset)
	if one := number("HOLDFAST_QUEUE_SEED", -1); one >= 0 {
		first, runs = one, 1
	}
	removals := 0
	for seed := first; seed < first+runs && !t.Failed(); seed++ {
		setup(t, uint64(seed))
		synctest.Test(t, func(t *testing.T) {
			r := newModelRun(t, uint64(seed))
			r.run()
			removals += r.removals
		})
	}
	if runs > 1 && removals == 0 {
		t.Error("no item was removed")
	}
}

// modelRun is one run of TestModel.
type modelRun struct {
	*testing.T

	seed  uint64
	etcd  *fakeetcd.Server
	opts  queue.Options
	calm  bool          // no faults
	ended chan struct{} // closed when the faults are over

	clients []*gateway.Client // of the processes

	mu       sync.Mutex
	rng      *rand.Rand
	fates    map[string]*fate
	ids      map[string]string // the values of the items by their IDs
	claims   map[string]bool   // after the last transaction
	removals int
}

// fate is what the calls said about an item.
type fate struct {
	enqueued, maybe bool // maybe: the enqueue was uncertain
	acked           int
	removed         bool
	goneAt          time.Time // the return of the call that acked or removed it
	inDoubt         bool      // an ack, or another end, was uncertain
	delivered       int
	counted         int    // deliveries that count as attempts, with MaxAttempts
	dead            bool   // it may have been a dead letter, and then its attempts begin again
	last            string // where it was found in the end
}

func newModelRun(t *testing.T, seed uint64) *modelRun {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	return &modelRun{
		T: t, seed: seed, etcd: fakeetcd.Start(t), rng: rng, calm: rng.IntN(4) == 0,
		opts: queue.Options{
			PerGroup:    1 + rng.IntN(2),
			MaxInFlight: rng.IntN(2) * (1 + rng.IntN(4)),
			Prefetch:    rng.IntN(2) * rng.IntN(4),
			MaxAttempts: rng.IntN(2) * 4,
			MaxLength:   rng.IntN(2) * 10,
		},
		ended: make(chan struct{}), fates: map[string]*fate{}, ids: map[string]string{},
		claims: map[string]bool{},
	}
}

func (r *modelRun) wrong(format string, args ...any) {
	r.Helper()
	r.Errorf("seed %d, %+v: %s", r.seed, r.opts, fmt.Sprintf(format, args...))
}

// chance is true in n of 100 cases.
func (r *modelRun) chance(n int) bool { return r.below(100) < n }

func (r *modelRun) below(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rng.IntN(n)
}

func (r *modelRun) upTo(d time.Duration) time.Duration {
	return time.Duration(r.below(1000)) * d / 1000
}

func (r *modelRun) run() {
	r.etcd.Script(r.answer)
	ctx, stop := context.WithTimeout(r.Context(), 4*time.Second)
	defer stop()
	var all sync.WaitGroup
	for i := range 3 {
		c := r.etcd.Client(r)
		r.clients = append(r.clients, c)
		all.Go(func() { r.process(ctx, i, c) })
	}
	all.Wait()
	close(r.ended)
	r.etcd.BreakWatches(false)
	r.drain()
	r.compare()
	time.Sleep(longestSleep) // requests whose callers have left
}

const longestSleep = 200 * time.Millisecond

// answer answers a request, with faults.
func (r *modelRun) answer(c *fakeetcd.Call) fakeetcd.Answer {
	fault := 100
	select {
	case <-r.ended:
	default:
		if !r.calm && c.IsTxn("jobs//") {
			fault = r.below(100)
		}
	}
	switch {
	case fault < 3:
		return fakeetcd.Lost
	case fault < 10:
		c.Sleep(r.upTo(longestSleep))
	}
	a := c.Apply()
	r.check()
	if fault >= 10 && fault < 15 {
		return fakeetcd.Lost
	}
	return a
}

// check compares the claims with the rules.
func (r *modelRun) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := map[string]bool{}
	for _, key := range r.etcd.Keys("jobs//c/") {
		now[strings.TrimPrefix(key, "jobs//c/")] = true
	}
	if limit := r.opts.MaxInFlight; limit > 0 && len(now) > limit {
		r.wrong("%d items are claimed", len(now))
	}
	if slots := len(r.etcd.Keys("jobs//m/")); r.opts.MaxInFlight > 0 && slots != len(now) {
		r.wrong("%d slots of %d claims", slots, len(now))
	}
	before, held := map[string]int{}, map[string]int{}
	for _, key := range r.etcd.Keys("jobs//q/") {
		parts := strings.SplitN(strings.TrimPrefix(key, "jobs//q/"), "/", 3)
		if len(parts) < 3 {
			continue
		}
		place, group := parts[0]+"/"+parts[1], parts[0]+parts[2]
		if now[place] {
			held[group]++
			if !r.claims[place] && before[group] >= r.opts.PerGroup {
				r.wrong("%s is claimed before %d others of its group", key, before[group])
			}
		}
		before[group]++
	}
	for group, n := range held {
		if n > r.opts.PerGroup {
			r.wrong("%d items of the group %s are claimed", n, group)
		}
	}
	r.claims = now
}

// drain receives all items that are left, with what one of the processes knows, and lists the dead
// letters.
func (r *modelRun) drain() {
	q := queue.New(open(r.T, r.clients[r.below(len(r.clients))]), "jobs", &queue.Options{
		PerGroup: r.opts.PerGroup, MaxInFlight: r.opts.MaxInFlight,
	})
	found := func(value, where string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		f := r.fateOf(value)
		if f.last != "" {
			r.wrong("%s was found twice: %s and %s", value, f.last, where)
		}
		f.last = where
	}
	for last := time.Now(); ; {
		synctest.Wait()
		m, err := q.TryReceive(r.Context())
		switch {
		case err == nil:
			found(string(m.Value), "in the queue")
			ack(r.T, m)
			last = time.Now()
			continue
		case !errors.Is(err, queue.ErrEmpty):
			r.Fatal(err)
		}
		st, err := q.Stats(r.Context())
		if err != nil {
			r.Fatal(err)
		}
		if st.Ready+st.Claimed+st.Delayed == 0 {
			break
		}
		if time.Since(last) > time.Minute {
			r.wrong("nothing is received of %+v", st)
			return
		}
		time.Sleep(time.Second)
	}
	for d, err := range q.DeadLetters(r.Context()) {
		if err != nil {
			r.Fatal(err)
		}
		found(string(d.Value), "dead")
	}
}

// compare checks that each item has one fate, and that no key is left of those that are gone.
func (r *modelRun) compare() {
	for value, f := range r.fates {
		kv, done := r.etcd.Get("done/" + value)
		switch {
		case f.last != "" && !f.enqueued && !f.maybe:
			r.wrong("%s was not enqueued, and is %s", value, f.last)
		case f.removed && (f.last != "" || f.acked > 0 || done):
			r.wrong("%s was removed, and is %q, acked %d times", value, f.last, f.acked)
		case f.last != "" && (f.acked > 0 || done):
			r.wrong("%s was acked, and is %s", value, f.last)
		case f.acked > 1 || done && kv.Version > 1:
			r.wrong("%s was acked %d times", value, f.acked)
		case f.enqueued && f.last == "" && f.acked == 0 && !f.removed && !f.inDoubt:
			r.wrong("%s is lost", value)
		case f.delivered > 0 && !f.enqueued && !f.maybe:
			r.wrong("%s was delivered, and not enqueued", value)
		}
	}
	for _, key := range r.etcd.Keys("jobs//") {
		part := strings.TrimPrefix(key, "jobs//")
		if !slices.Contains([]string{"tail", "gaps"}, part) && !strings.HasPrefix(part, "x/") {
			r.wrong("%s is left", key)
		}
	}
}
