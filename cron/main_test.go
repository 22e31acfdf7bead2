package cron_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, nil)) }

// name is the name of the schedule in all tests.
const name = "job"

type function = func(context.Context, *cron.Tick) error

// replica is a call of Run in the background.
type replica struct {
	client *gateway.Client
	stop   context.CancelFunc
	done   chan error
}

// run starts a replica with a client of its own. It is stopped at the end of the test.
func run(
	ctx context.Context, t *testing.T, etcd *fakeetcd.Server, c *cron.Cron, fn function,
) *replica {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	r := &replica{client: etcd.Client(t), stop: stop, done: make(chan error, 1)}
	go func() { r.done <- c.Run(ctx, r.client, fn) }()
	t.Cleanup(func() {
		stop()
		_ = r.wait() // killed replicas have another error
	})
	return r
}

// wait returns the result of Run.
func (r *replica) wait() error {
	err := <-r.done
	r.done <- err // for the cleanup
	return err
}

// kill ends the replica without a word to etcd.
func (r *replica) kill(t *testing.T) {
	t.Helper()
	if err := r.client.Close(); err != nil {
		t.Error(err)
	}
}

// seen is a tick that a function has seen.
type seen struct {
	Scheduled time.Time
	Attempt   int
	Fence     int64
	Replica   int
	At        time.Time
}

// ticks are the ticks that the functions of a test have seen.
type ticks struct {
	mu  sync.Mutex
	all []seen
}

func (ts *ticks) add(replica int, tick *cron.Tick) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.all = append(ts.all, seen{
		Scheduled: tick.Scheduled(), Attempt: tick.Attempt(), Fence: tick.Fence(),
		Replica: replica, At: time.Now(),
	})
}

func (ts *ticks) list() []seen {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return slices.Clone(ts.all)
}

// notes is a function that notes its ticks and returns nil.
func (ts *ticks) notes(replica int) function {
	return func(_ context.Context, tick *cron.Tick) error {
		ts.add(replica, tick)
		return nil
	}
}

// minutes returns the scheduled times as minutes after the first.
func (ts *ticks) minutes() (all []float64) {
	list := ts.list()
	for _, s := range list {
		all = append(all, s.Scheduled.Sub(list[0].Scheduled).Minutes())
	}
	return all
}

// wantMinutes checks the scheduled times of all ticks, as minutes after the first.
func (ts *ticks) wantMinutes(t *testing.T, want ...float64) {
	t.Helper()
	if got := ts.minutes(); !slices.Equal(got, want) {
		t.Errorf("ticks at minutes %v, want %v", got, want)
	}
}

// wantEach checks that each tick of a schedule every d has run once, in order, and under a greater
// fence than the one before.
func (ts *ticks) wantEach(t *testing.T, d time.Duration, n int) {
	t.Helper()
	all := ts.list()
	if len(all) != n {
		t.Errorf("%d ticks, want %d: %v", len(all), n, ts.minutes())
	}
	for i := 1; i < len(all); i++ {
		if all[i].Scheduled.Sub(all[i-1].Scheduled) != d || all[i].Fence <= all[i-1].Fence {
			t.Errorf("%+v after %+v", all[i], all[i-1])
		}
	}
}

// mustNotRun is a function that must not run.
func mustNotRun(t *testing.T) function {
	t.Helper()
	return func(_ context.Context, tick *cron.Tick) error {
		t.Errorf("the tick of %v has run", tick.Scheduled())
		return nil
	}
}

// history returns the history, the oldest tick first.
func history(t *testing.T, etcd *fakeetcd.Server, c *cron.Cron) []cron.Record {
	t.Helper()
	records, err := c.History(t.Context(), etcd.Client(t))
	if err != nil {
		t.Error(err)
	}
	slices.Reverse(records)
	return records
}

var errOwn = errors.New("own error")
