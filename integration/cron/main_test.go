// Package cron_test tests schedules on real etcd.
package cron_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	pause      = recipetest.Pause
	members    = recipetest.Members
)

func TestMain(m *testing.M) { cluster.Main(m) }

type function = func(context.Context, *cron.Tick) error

// rarely is a schedule whose ticks no test meets.
var rarely = cron.Every(100 * 24 * time.Hour)

// often is a schedule with ticks every 20 ms.
const often = 20 * time.Millisecond

// replica is a call of Run in the background.
type replica struct {
	stop context.CancelFunc
	done chan error
}

// run starts a replica with a client of its own, and waits until it has joined.
func run(t *testing.T, cfg gateway.Config, name string, c *cron.Cron, fn function) *replica {
	t.Helper()
	client := newClient(t, cfg)
	ctx, stop := context.WithCancel(t.Context())
	r := &replica{stop, make(chan error, 1)}
	before := len(members(t, client, name))
	go func() { r.done <- c.Run(ctx, client, fn) }()
	t.Cleanup(func() {
		stop()
		_ = r.wait() // the context's error
	})
	eventually(t, "join", func() bool { return len(members(t, client, name)) > before })
	return r
}

// wait returns the result of Run.
func (r *replica) wait() error {
	err := <-r.done
	r.done <- err // for the cleanup
	return err
}

// ticks are the scheduled times that the functions of a test have seen.
type ticks struct {
	mu  sync.Mutex
	all []time.Time
}

func (ts *ticks) add(tick *cron.Tick) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.all = append(ts.all, tick.Scheduled())
}

func (ts *ticks) list() []time.Time {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return slices.Clone(ts.all)
}

// notes is a function that notes its ticks.
func (ts *ticks) notes(_ context.Context, tick *cron.Tick) error {
	ts.add(tick)
	return nil
}

// wantEach checks that no tick is missing and none was seen twice.
func wantEach(t *testing.T, all []time.Time, period time.Duration) {
	t.Helper()
	for i := 1; i < len(all); i++ {
		if all[i].Sub(all[i-1]) != period {
			t.Errorf("%v after %v", all[i], all[i-1])
		}
	}
}
