package cron_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

func TestOneReplicaRunsEachTick(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), nil)
		for i := range 3 {
			run(t.Context(), t, etcd, c, ts.notes(i))
		}
		time.Sleep(10*time.Minute + time.Second)
		ts.wantEach(t, time.Minute, 10)
		for _, s := range ts.list() {
			if s.Attempt != 1 || s.At.Sub(s.Scheduled) > 10*time.Millisecond ||
				s.Scheduled.Truncate(time.Minute) != s.Scheduled {
				t.Errorf("%+v", s)
			}
		}
	})
}

// TestATickTakesTwoWritesAndNothingBetween: the requests of all replicas are counted, also of the
// ones that wait.
func TestATickTakesTwoWritesAndNothingBetween(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(3*time.Minute), nil)
		for i := range 3 {
			run(t.Context(), t, etcd, c, ts.notes(i))
		}
		time.Sleep(time.Minute)
		requests := bubble.Count(etcd)
		revision := etcd.Revision()
		time.Sleep(time.Minute)
		if n := requests.Load(); n != 0 {
			t.Errorf("%d requests between ticks", n)
		}
		time.Sleep(9 * time.Minute)
		if n := requests.Load(); n != 6 || len(ts.list()) != 3 {
			t.Errorf("%d requests for %d ticks", n, len(ts.list()))
		}
		if n := etcd.Revision() - revision; n != 6 {
			t.Errorf("%d writes for 3 ticks", n)
		}
		etcd.Script(nil)
	})
}

// TestClocksDecideWhenNeverWhether: the clocks of the replicas differ by a minute, and each replica
// is stopped in the middle between its ticks. No tick is lost or runs twice.
func TestClocksDecideWhenNeverWhether(t *testing.T) {
	t.Parallel()
	for _, shifts := range [][]time.Duration{
		{30 * time.Second, -30 * time.Second, 0, 30 * time.Second, -30 * time.Second},
		{-30 * time.Second, 30 * time.Second, -time.Minute, 2 * time.Minute, 0},
	} {
		for _, kill := range []bool{true, false} {
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				var ts ticks
				c := cron.New(name, cron.Every(10*time.Second), &cron.Options{Missed: cron.MissedAll})
				var replicas []*replica
				for i, shift := range shifts {
					ctx := clock.Shift(t.Context(), shift)
					replicas = append(replicas, run(ctx, t, etcd, c, ts.notes(i)))
					synctest.Wait()
				}
				for _, r := range replicas[:4] {
					time.Sleep(time.Minute + 3*time.Second)
					if kill {
						r.kill(t)
					} else {
						r.stop()
					}
				}
				time.Sleep(time.Minute)
				all := ts.list()
				ts.wantEach(t, 10*time.Second, len(all))
				ran := map[int]bool{}
				for _, s := range all {
					ran[s.Replica] = true
				}
				last := time.Now().Add(shifts[4] - 10*time.Second)
				if len(ran) < 3 || all[len(all)-1].Scheduled.Before(last) {
					t.Errorf("replicas that ran ticks: %v, the last is %+v", ran, all[len(all)-1])
				}
			})
		}
	}
}

func TestATickFarAwayStartsInTime(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		run(t.Context(), t, etcd, cron.New(name, cron.Every(55*time.Minute), nil), ts.notes(0))
		time.Sleep(56 * time.Minute)
		all := ts.list()
		if len(all) != 1 || all[0].At.Sub(all[0].Scheduled) > 10*time.Millisecond {
			t.Errorf("%+v", all)
		}
	})
}

func TestRunReturnsTheErrorOfItsContext(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), nil)
		front := run(t.Context(), t, etcd, c, mustNotRun(t))
		synctest.Wait()
		waiting := run(t.Context(), t, etcd, c, mustNotRun(t))
		synctest.Wait()
		for _, r := range []*replica{waiting, front} {
			r.stop()
			if err := r.wait(); !errors.Is(err, context.Canceled) {
				t.Errorf("Run = %v", err)
			}
		}
		if keys := etcd.Keys(name + "/"); !slices.Equal(keys, []string{name + "//state"}) {
			t.Errorf("keys %q", keys)
		}
	})
}

func TestDifferentSchedulesReturnAnErrorThatNamesBoth(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		old := cron.New(name, cron.Every(time.Minute), nil)
		front := run(t.Context(), t, etcd, old, ts.notes(0))
		synctest.Wait()
		next := cron.New(name, cron.Every(time.Minute), &cron.Options{Spec: "hourly"})
		err := next.Run(bubble.Within(t, time.Minute), etcd.Client(t), mustNotRun(t))
		if !errors.Is(err, cron.ErrScheduleMismatch) || !strings.Contains(err.Error(), `"hourly"`) ||
			!strings.Contains(err.Error(), `"@every 1m0s"`) {
			t.Errorf("Run = %v", err)
		}
		waiting := run(t.Context(), t, etcd, old, ts.notes(1))
		time.Sleep(2*time.Minute + time.Second)
		ts.wantEach(t, time.Minute, 2)
		front.stop()
		waiting.stop()
		synctest.Wait()
		run(t.Context(), t, etcd, next, ts.notes(2)) // once the others have ended
		time.Sleep(2 * time.Minute)
		ts.wantEach(t, time.Minute, 4)
	})
}

func TestUnusableNamesSchedulesAndOptions(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		client, minutely := etcd.Client(t), cron.Every(time.Minute)
		for what, c := range map[string]*cron.Cron{
			"no name":          cron.New("", minutely, nil),
			"a slash":          cron.New("a/", minutely, nil),
			"two slashes":      cron.New("a//b", minutely, nil),
			"no schedule":      cron.New(name, nil, nil),
			"no spec":          cron.New(name, backwards{}, nil),
			"a long spec":      cron.New(name, minutely, &cron.Options{Spec: strings.Repeat("x", 257)}),
			"a broken spec":    cron.New(name, minutely, &cron.Options{Spec: "\xff"}),
			"missed":           cron.New(name, minutely, &cron.Options{Missed: 3}),
			"late":             cron.New(name, minutely, &cron.Options{MaxLate: -1}),
			"a negative time":  cron.New(name, minutely, &cron.Options{Timeout: -1}),
			"jitter":           cron.New(name, minutely, &cron.Options{Jitter: -1}),
			"attempts":         cron.New(name, minutely, &cron.Options{MaxAttempts: -1}),
			"history":          cron.New(name, minutely, &cron.Options{History: 1001}),
			"negative history": cron.New(name, minutely, &cron.Options{History: -1}),
			"every 0":          cron.New(name, cron.Every(0), nil),
			"every -1":         cron.New(name, cron.Every(-1), nil),
			"backwards":        cron.New(name, backwards{}, &cron.Options{Spec: "x"}),
			"a session's":      cron.New(name, minutely, &cron.Options{Session: &session.Options{TTL: 1}}),
		} {
			err := c.Run(bubble.Within(t, time.Minute), client, mustNotRun(t))
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%s: Run = %v", what, err)
			}
		}
		for _, c := range []*cron.Cron{
			cron.New("", nil, nil), cron.New("a/", nil, nil), cron.New("a//b", nil, nil),
		} {
			_, read := c.History(t.Context(), client)
			for _, err := range []error{
				read, c.Pause(t.Context(), client, "why"), c.Resume(t.Context(), client),
				c.Trigger(t.Context(), client, "why"),
			} {
				if !errors.Is(err, gateway.ErrInvalid) {
					t.Errorf("%v", err)
				}
			}
		}
	})
}

// backwards is a schedule that is broken.
type backwards struct{}

func (backwards) Next(t time.Time) time.Time { return t.Add(-time.Second) }

// never is a schedule without ticks.
type never struct{}

func (never) Next(time.Time) time.Time { return time.Time{} }

func TestAScheduleWithoutTicksWaits(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, never{}, &cron.Options{Spec: "never"})
		ctx := bubble.Within(t, 10*time.Minute)
		if err := c.Run(ctx, etcd.Client(t), mustNotRun(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run = %v", err)
		}
	})
}
