package adapters_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/holdfast-go/holdfast/adapters/holdfastgocron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// instances is the number of schedulers.
const instances = 3

// every is the interval of a job. Each instance runs it splay later than the one before.
const (
	every = 500 * time.Millisecond
	splay = 60 * time.Millisecond
)

// schedule starts a scheduler with a short job, which is due at multiples of every, by a clock that
// is late.
func schedule(t *testing.T, late time.Duration, job func(), options ...gocron.SchedulerOption) {
	t.Helper()
	s, err := gocron.NewScheduler(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	first := time.Now().Truncate(every).Add(2*every + late)
	_, err = s.NewJob(gocron.DurationJob(every), gocron.NewTask(job), gocron.WithName("job"),
		gocron.WithStartAt(gocron.WithStartDateTime(first)))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
}

// plain is the usual locker: a lock that is free again when the job has ended.
type plain struct{ s *session.Session }

type unlocker struct{ *mutex.Lock }

func (l plain) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	lock, err := mutex.New(l.s, key, nil).TryLock(ctx)
	return unlocker{lock}, err
}

// TestGocronRunsEachTickOnce: of several schedulers whose clocks differ, one runs each tick of a
// short job. With a lock in place of the locker, the same test finds ticks that ran more than once.
func TestGocronRunsEachTickOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		locker func(*session.Session, string) gocron.Locker
		double bool
	}{
		{"a lock", func(s *session.Session, _ string) gocron.Locker { return plain{s} }, true},
		{"interval", func(s *session.Session, name string) gocron.Locker {
			return holdfastgocron.NewLocker(s, name, holdfastgocron.Interval(every), nil)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			var ticks counter[time.Time]
			for i := range instances {
				schedule(t, time.Duration(i)*splay, func() { ticks.add(time.Now().Round(every)) },
					gocron.WithDistributedLocker(tt.locker(cluster.NewSession(t, nil), name)))
			}
			eventually(t, "ticks", func() bool { return ticks.len() >= 10 })
			n, twice := ticks.len(), ticks.twice()
			figure(t, "gocron with %s: %d ticks, %d ran more than once", tt.name, n, twice)
			if (twice > 0) != tt.double {
				t.Errorf("%d of %d ticks ran more than once", twice, n)
			}
		})
	}
}

// TestTheLockOfGocronLastsUntilUnlock: also after the context of the job has ended. Then the tick
// is done.
func TestTheLockOfGocronLastsUntilUnlock(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	tick := func(string, time.Time) time.Time { return time.Unix(0, 0) }
	l := holdfastgocron.NewLocker(cluster.NewSession(t, nil), name, tick, nil)
	other := holdfastgocron.NewLocker(cluster.NewSession(t, nil), name, tick, nil)
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	lock, err := l.Lock(ctx, "job")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := other.Lock(within(t, time.Minute), "job"); !errors.Is(err, once.ErrRunning) {
		t.Errorf("Lock = %v", err)
	}
	if err := lock.Unlock(ctx); err != nil {
		t.Errorf("Unlock = %v", err)
	}
	if err := lock.Unlock(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("a second Unlock = %v", err)
	}
	for _, l := range []*holdfastgocron.Locker{l, other} {
		if _, err := l.Lock(within(t, time.Minute), "job"); !errors.Is(err, holdfastgocron.ErrDone) {
			t.Errorf("Lock of a tick that is done = %v", err)
		}
	}
	if _, err := l.Lock(ctx, "another"); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock with a context that has ended = %v", err)
	}
	for _, none := range []holdfastgocron.Tick{
		func(string, time.Time) time.Time { return time.Time{} }, holdfastgocron.Interval(0),
	} {
		l := holdfastgocron.NewLocker(cluster.NewSession(t, nil), name, none, nil)
		if _, err := l.Lock(within(t, time.Minute), "job"); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Lock without a tick = %v", err)
		}
	}
}

// TestGocronRunsJobsOfTheLeader: one of several schedulers runs the jobs, and another one when it
// ends.
func TestGocronRunsJobsOfTheLeader(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	var runs [instances]counter[time.Time]
	var electors [instances]holdfastgocron.Elector
	var stops [instances]context.CancelFunc
	done := make(chan error, instances)
	if err := electors[0].IsLeader(t.Context()); !errors.Is(err, holdfastgocron.ErrNotLeader) {
		t.Errorf("IsLeader = %v", err)
	}
	for i := range instances {
		ctx, stop := context.WithCancel(t.Context())
		stops[i] = stop
		c := cluster.NewClient(t, gateway.Config{})
		go func() { done <- electors[i].Run(ctx, c, nil, name, "instance") }()
		t.Cleanup(stop)
		if i == 0 {
			eventually(t, "a leader", func() bool { return electors[0].IsLeader(ctx) == nil })
		}
		schedule(t, 0, func() { runs[i].add(time.Now().Round(every)) },
			gocron.WithDistributedElector(&electors[i]))
	}
	eventually(t, "runs of the leader", func() bool { return runs[0].len() >= 5 })
	if a, b := runs[1].len(), runs[2].len(); a+b > 0 {
		t.Errorf("%d and %d runs of instances that do not lead", a, b)
	}
	stops[0]()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	before := runs[0].len()
	eventually(t, "runs of the next leader", func() bool {
		return runs[1].len()+runs[2].len() >= 5
	})
	if runs[1].len() > 0 && runs[2].len() > 0 || runs[0].len() > before+1 {
		t.Errorf("%d, %d and %d runs", runs[0].len()-before, runs[1].len(), runs[2].len())
	}
	for _, stop := range stops[1:] {
		stop()
		<-done //nolint:errcheck // its context has ended
	}
}

// TestAnElectorHasOneRunAtATime: a second would end the first one's term for the scheduler.
func TestAnElectorHasOneRunAtATime(t *testing.T) {
	t.Parallel()
	c, name := cluster.NewClient(t, gateway.Config{}), fresh(t)
	var e holdfastgocron.Elector
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx, c, nil, name, "me") }()
		eventually(t, "a leader", func() bool { return e.IsLeader(ctx) == nil })
		if err := e.Run(ctx, c, nil, name+" 2", "me"); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("a second Run = %v", err)
		}
		if err := e.IsLeader(ctx); err != nil {
			t.Errorf("after a second Run: %v", err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	}
}

// TestAnElectorThatIsCutOffDoesNotLead: it does not lead when another one may.
func TestAnElectorThatIsCutOffDoesNotLead(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	var e holdfastgocron.Elector
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	c := cluster.NewClient(t, gateway.Config{Endpoints: []string{p.URL()}})
	name := fresh(t)
	opts := &session.Options{TTL: 2 * time.Second, AllowShortTTL: true}
	go func() { done <- e.Run(ctx, c, opts, name, "cut off") }()
	eventually(t, "a leader", func() bool { return e.IsLeader(ctx) == nil })
	cut(p)
	var next holdfastgocron.Elector
	nextDone := make(chan error, 1)
	direct := cluster.NewClient(t, gateway.Config{})
	go func() { nextDone <- next.Run(ctx, direct, opts, name, "next") }()
	eventually(t, "the next leader", func() bool { return next.IsLeader(ctx) == nil })
	if err := e.IsLeader(ctx); !errors.Is(err, holdfastgocron.ErrNotLeader) {
		t.Errorf("IsLeader = %v", err)
	}
	if err := p.Heal(); err != nil {
		t.Error(err)
	}
	stop()
	<-done     //nolint:errcheck // its context has ended
	<-nextDone //nolint:errcheck // as above
}
