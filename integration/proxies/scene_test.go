package proxies_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/proxies"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// party is one process behind the proxy.
type party struct {
	client  *gateway.Client
	session *session.Session
	lease   gateway.LeaseID
	counter *proxies.Counter
}

// scene is two parties on one path. They hand a lock over to each other. One leads and the other
// observes the election; one enqueues items and the other receives them.
type scene struct {
	t      *testing.T
	path   path
	name   string
	a, b   party
	direct *gateway.Client // not through the proxy
	lock   *mutex.Lock     // held by a or b
	locks  int             // number of hand-overs
	term   *election.Term  // held by a
	sent   int             // number of proclaimed values; one at a time
	seen   chan string     // values that b observed
	got    chan string     // items that b received
	put    int
}

func newParty(t *testing.T, p path) party {
	t.Helper()
	counter := new(proxies.Counter)
	cfg := p.config
	cfg.DialContext = counter.DialContext
	c := recipetest.NewClient(t, cfg)
	s := recipetest.NewSession(t, c, nil)
	return party{client: c, session: s, lease: s.Lease(), counter: counter}
}

// open starts the parties, their observer and their consumer.
func open(t *testing.T, p path) *scene {
	t.Helper()
	s := &scene{
		t: t, path: p, name: recipetest.Fresh(t), a: newParty(t, p), b: newParty(t, p),
		direct: recipetest.NewClient(t, gateway.Config{Endpoints: cluster.Endpoints()}),
		seen:   make(chan string, 1000), got: make(chan string, 1000),
	}
	ctx := recipetest.Within(t, recipetest.Patience)
	var err error
	if s.lock, err = s.mutex(s.a).Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if s.term, err = election.New(s.a.session, s.name+"-election", nil).Campaign(ctx,
		"begin"); err != nil {
		t.Fatal(err)
	}
	waiting, stop := context.WithCancel(t.Context())
	var waiters sync.WaitGroup
	t.Cleanup(func() { stop(); waiters.Wait() })
	waiters.Go(func() { s.observe(waiting) })
	waiters.Go(func() { s.receive(waiting) })
	return s
}

func (s *scene) mutex(p party) *mutex.Mutex { return mutex.New(p.session, s.name+"-mutex", nil) }

func (s *scene) observe(ctx context.Context) {
	events := election.New(s.b.session, s.name+"-election", nil).Observe(ctx)
	for e, err := range events {
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.t.Errorf("observe: %v", err)
			return
		case e.Leader != nil:
			s.seen <- e.Leader.Value
		}
	}
}

func (s *scene) receive(ctx context.Context) {
	next, stop := iter.Pull2(queue.New(s.b.session, s.name+"-queue", nil).Messages(ctx))
	defer stop()
	for {
		m, err, ok := next()
		if !ok || ctx.Err() != nil {
			return
		}
		if err != nil {
			s.t.Errorf("receive: %v", err)
			return
		}
		s.got <- string(m.Value)
		if err := m.Ack(ctx); err != nil && ctx.Err() == nil {
			s.t.Errorf("ack: %v", err)
		}
	}
}

// settle waits until both clients watch in a mode. A client that tried a mode while its member was
// slow uses a worse mode until it tries again.
func (s *scene) settle(mode string) {
	s.t.Helper()
	ctx := recipetest.Within(s.t, time.Minute)
	began := time.Now()
	for modeOf(s.a.client) != mode || modeOf(s.b.client) != mode {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			s.t.Fatalf("watches are %q and %q, want %q", modeOf(s.a.client), modeOf(s.b.client),
				mode)
		}
	}
	if d := time.Since(began); d > 5*time.Second {
		s.t.Logf("figure: %s was found after %v", mode, ms(d))
	}
}

// wait starts a Lock of the party without the lock, and returns when its key is in the line.
func (s *scene) wait(ctx context.Context) (handOver func() (time.Duration, error), err error) {
	waiter := s.b
	if s.locks%2 == 1 {
		waiter = s.a
	}
	s.locks++
	type grant struct {
		lock *mutex.Lock
		err  error
		at   time.Time
	}
	granted := make(chan grant, 1)
	go func() {
		lock, err := s.mutex(waiter).Lock(ctx)
		granted <- grant{lock, err, time.Now()}
	}()
	for len(recipetest.Members(s.t, s.direct, s.name+"-mutex")) < 2 {
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			<-granted
			return nil, fmt.Errorf("the waiter joins: %w", err)
		}
	}
	return func() (time.Duration, error) {
		began := time.Now()
		err := s.lock.Unlock(ctx)
		g := <-granted
		if err != nil || g.err != nil {
			return 0, fmt.Errorf("hand over: unlock: %w, lock: %w", err, g.err)
		}
		s.lock = g.lock
		return g.at.Sub(began), nil
	}, nil
}

func (s *scene) handOver(ctx context.Context, rest time.Duration) (time.Duration, error) {
	handOver, err := s.wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, rest); err != nil {
		return 0, err
	}
	return handOver()
}

func (s *scene) proclaim(ctx context.Context, rest time.Duration) (time.Duration, error) {
	s.sent++
	value := fmt.Sprint("value ", s.sent)
	began := time.Now()
	if err := s.term.Proclaim(ctx, value); err != nil {
		return 0, err
	}
	for {
		select {
		case v := <-s.seen:
			if v == value {
				took := time.Since(began)
				return took, pause(ctx, rest)
			}
		case <-ctx.Done():
			return 0, fmt.Errorf("observe %q: never: %w", value, context.Cause(ctx))
		}
	}
}

func (s *scene) enqueue(ctx context.Context, rest time.Duration) (time.Duration, error) {
	s.put++
	value := fmt.Sprint("item ", s.put)
	began := time.Now()
	if _, err := queue.New(s.a.session, s.name+"-queue", nil).Enqueue(ctx, []byte(value),
		nil); err != nil {
		return 0, err
	}
	select {
	case v := <-s.got:
		took := time.Since(began)
		if v != value {
			return 0, fmt.Errorf("received %q, not %q", v, value)
		}
		return took, pause(ctx, rest)
	case <-ctx.Done():
		return 0, fmt.Errorf("receive %q: never: %w", value, context.Cause(ctx))
	}
}

type round func(ctx context.Context, rest time.Duration) (time.Duration, error)

func (s *scene) rounds() []round { return []round{s.handOver, s.proclaim, s.enqueue} }

// busy does rounds of all three recipes at the same time and returns their durations. The first
// round opens the watches and is not counted.
func (s *scene) busy(p pace) (took [3][]time.Duration) {
	s.t.Helper()
	var loops sync.WaitGroup
	until := time.Now().Add(p.busy)
	for i, round := range s.rounds() {
		loops.Go(func() {
			for n := 0; time.Now().Before(until) || n < 4; n++ {
				d, err := one(s.t, round, p.pause)
				if err != nil {
					s.t.Error(err)
					return
				}
				if n > 0 {
					took[i] = append(took[i], d)
				}
			}
		})
	}
	loops.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
	return took
}

func one(t *testing.T, round round, rest time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(t.Context(), recipetest.Patience)
	defer cancel()
	return round(ctx, rest)
}

// atRest is how many requests a second were sent while nothing happened: by each party, or by both
// if only the proxy can count them.
type atRest struct{ a, b, both float64 }

func (r atRest) String() string {
	if r.both > 0 {
		return fmt.Sprintf("%.2f requests/s of two clients", r.both)
	}
	return fmt.Sprintf("%.2f and %.2f requests/s", r.a, r.b)
}

// most returns the rate of one client.
func (r atRest) most() float64 { return max(r.a, r.b, r.both/2) }

// idle waits while nothing happens and one party waits for the lock. Then it checks that all three
// recipes still work.
func (s *scene) idle(p pace) atRest {
	s.t.Helper()
	ctx := recipetest.Within(s.t, p.idle+4*recipetest.Patience)
	handOver, err := s.wait(ctx)
	if err == nil {
		err = pause(ctx, time.Second) // so that the last requests of the rounds are sent
	}
	if err != nil {
		s.t.Fatal(err)
	}
	a, b, both := s.a.counter.Requests(), s.b.counter.Requests(), s.total(ctx)
	if err := pause(ctx, p.idle); err != nil {
		s.t.Fatal(err)
	}
	seconds := p.idle.Seconds()
	rest := atRest{
		a:    float64(s.a.counter.Requests()-a) / seconds,
		b:    float64(s.b.counter.Requests()-b) / seconds,
		both: float64(s.total(ctx)-both) / seconds,
	}
	within := func(what string, d time.Duration, err error) {
		if err != nil {
			s.t.Fatalf("after %v of nothing: %s: %v", p.idle, what, err)
		}
		if d > 2*time.Second {
			s.t.Errorf("after %v of nothing: %s took %v", p.idle, what, d)
		}
	}
	d, err := handOver()
	within("the hand-over", d, err)
	d, err = s.proclaim(ctx, 0)
	within("Observe", d, err)
	d, err = s.enqueue(ctx, 0)
	within("the queue", d, err)
	for _, p := range []party{s.a, s.b} {
		if err := p.session.Err(); err != nil || p.session.Lease() != p.lease {
			s.t.Errorf("a session was lost: %v", err)
		}
	}
	return rest
}

func (s *scene) total(ctx context.Context) int64 {
	if s.path.total == nil {
		return 0
	}
	n, err := s.path.total(ctx)
	if err != nil {
		s.t.Error(err)
	}
	return n
}

// loss deletes the holder's key and waits until the holder notices.
func (s *scene) loss() {
	s.t.Helper()
	ctx := recipetest.Within(s.t, recipetest.Patience)
	began := time.Now()
	if _, err := s.direct.Delete(ctx, s.lock.Key()); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.lock.Context().Done():
		recipetest.Figure(s.t, "%s: a holder learns that its key was deleted after %v",
			strings.TrimPrefix(s.t.Name(),
				"TestWatchesNotifyInTimeThroughProxies/"), ms(time.Since(began)))
	case <-ctx.Done():
		s.t.Error("the holder does not learn that its key was deleted")
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// ms rounds to tenths of milliseconds.
func ms(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
