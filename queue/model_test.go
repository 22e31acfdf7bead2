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
	"github.com/holdfast-go/holdfast/session"
)

// TestModel runs random producers and consumers of several processes, with lost answers, slow
// answers, broken watches, lost sessions and crashed consumers. After each transaction it compares
// etcd's keys with the rules for claims, and in the end the fate of each item with the calls that
// were made. HOLDFAST_QUEUE_SEEDS is the number of runs; HOLDFAST_QUEUE_SEED runs one of them.
func TestModel(t *testing.T) {
	t.Parallel()
	number := func(name string, unset int) int {
		n, err := strconv.Atoi(os.Getenv(name))
		if err != nil {
			return unset
		}
		return n
	}
	first, runs := 0, number("HOLDFAST_QUEUE_SEEDS", 10)
	if one := number("HOLDFAST_QUEUE_SEED", -1); one >= 0 {
		first, runs = one, 1
	}
	for seed := first; seed < first+runs && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) { newModelRun(t, uint64(seed)).run() })
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

	mu     sync.Mutex
	rng    *rand.Rand
	fates  map[string]*fate
	claims map[string]bool // after the last transaction
}

// fate is what the calls said about an item.
type fate struct {
	enqueued, maybe bool // maybe: the enqueue was uncertain
	acked           int
	ackedAt         time.Time
	inDoubt         bool // an ack, or another end, was uncertain
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
		ended: make(chan struct{}), fates: map[string]*fate{}, claims: map[string]bool{},
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
		all.Go(func() { r.process(ctx, i) })
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

// process is a process with one client, a producer and consumers.
func (r *modelRun) process(ctx context.Context, n int) {
	c := r.etcd.Client(r)
	for life := 0; ctx.Err() == nil; life++ {
		s, err := session.New(ctx, c, &session.Options{TTL: 5 * time.Second})
		if err != nil {
			continue
		}
		q := queue.New(s, "jobs", &r.opts)
		var all sync.WaitGroup
		all.Go(func() { r.produce(ctx, q, s, fmt.Sprintf("%d.%d", n, life)) })
		for range 2 {
			all.Go(func() { r.consume(ctx, q, s) })
		}
		all.Wait()
		if !r.calm && r.chance(50) {
			s.Orphan() // as if the process was killed
			r.etcd.Revoke(s.Lease())
		}
		_ = s.Close(context.WithoutCancel(ctx))
	}
}

func (r *modelRun) produce(ctx context.Context, q *queue.Queue, s *session.Session, name string) {
	for i := 0; i < 10 && ctx.Err() == nil && s.Err() == nil; i++ {
		time.Sleep(r.upTo(400 * time.Millisecond))
		opts := &queue.EnqueueOptions{Priority: r.below(2), NoWait: r.chance(50)}
		opts.Group = []string{"", "", "a", "b", "c/d"}[r.below(5)]
		if r.chance(20) {
			opts.Delay = r.upTo(time.Second)
		}
		values := make([][]byte, 1+r.below(6))
		for j := range values {
			values[j] = fmt.Appendf(nil, "%s.%d.%d", name, i, j)
		}
		call, cancel := context.WithTimeout(ctx, r.upTo(5*time.Second))
		ids, err := q.EnqueueAll(call, values, opts)
		cancel()
		r.mu.Lock()
		for j, value := range values {
			f := r.fateOf(string(value))
			f.enqueued = j < len(ids)
			f.maybe = !f.enqueued && errors.Is(err, gateway.ErrUncertain)
		}
		r.mu.Unlock()
		if r.chance(5) {
			_, _ = q.Redrive(ctx)
		}
	}
}

func (r *modelRun) fateOf(value string) *fate {
	f := r.fates[value]
	if f == nil {
		f = &fate{}
		r.fates[value] = f
	}
	return f
}

func (r *modelRun) consume(ctx context.Context, q *queue.Queue, s *session.Session) {
	for ctx.Err() == nil && s.Err() == nil {
		call, cancel := context.WithTimeout(ctx, r.upTo(time.Second))
		begin := time.Now()
		m, err := q.Receive(call)
		cancel()
		if err == nil {
			r.work(m, begin)
		}
		switch {
		case r.calm:
		case r.chance(2):
			r.etcd.Revoke(s.Lease())
		case r.chance(4):
			r.etcd.Compact()
			r.etcd.BreakWatches(false)
		}
	}
}

// work ends a message in one of many ways, or leaves it to the end of the session.
func (r *modelRun) work(m *queue.Message, begin time.Time) {
	value := string(m.Value)
	r.mu.Lock()
	f := r.fateOf(value)
	f.delivered++
	if !f.ackedAt.IsZero() && f.ackedAt.Before(begin) {
		r.wrong("%s was received after its ack", value)
	}
	if r.calm && m.Attempt > f.delivered {
		r.wrong("%s: attempt %d in delivery %d", value, m.Attempt, f.delivered)
	}
	if limit := r.opts.MaxAttempts; limit > 0 {
		if m.Attempt > limit || !f.dead && m.Attempt <= f.counted {
			r.wrong("%s: attempt %d after %d", value, m.Attempt, f.counted)
		}
		f.counted++
		f.dead = f.dead || m.Attempt == limit
	}
	r.mu.Unlock()
	time.Sleep(r.upTo(200 * time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), r.upTo(5*time.Second))
	defer cancel()
	var err error
	acks := false
	switch n := r.below(100); {
	case n < 50:
		acks, err = true, m.Ack(ctx)
	case n < 60:
		acks, err = true, m.AckWith(ctx, gateway.OpPut("done/"+value, nil))
	case n < 70:
		err = m.Nack(ctx, 0)
	case n < 80:
		err = m.Nack(ctx, 1+r.upTo(time.Second))
	case n < 85:
		r.mu.Lock()
		f.dead = true
		r.mu.Unlock()
		err = m.Reject(ctx, "no")
	case n < 95:
		r.mu.Lock()
		f.counted--
		r.mu.Unlock()
		err = m.Requeue(ctx)
	case r.calm:
		acks, err = true, m.Ack(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if acks && err == nil {
		f.acked++
		f.ackedAt = time.Now()
	}
	f.inDoubt = f.inDoubt || errors.Is(err, gateway.ErrUncertain)
}

// drain receives all items that are left, and lists the dead letters.
func (r *modelRun) drain() {
	q := queue.New(open(r.T, r.etcd.Client(r)), "jobs", &queue.Options{
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
	for {
		synctest.Wait()
		m, err := q.TryReceive(r.Context())
		switch {
		case err == nil:
			found(string(m.Value), "in the queue")
			ack(r.T, m)
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
		case f.last != "" && (f.acked > 0 || done):
			r.wrong("%s was acked, and is %s", value, f.last)
		case f.acked > 1 || done && kv.Version > 1:
			r.wrong("%s was acked %d times", value, f.acked)
		case f.enqueued && f.last == "" && f.acked == 0 && !f.inDoubt:
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
