package cron_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestNoTickStartsAfterPause: the tick that has started goes on, the ticks of the pause are
// skipped, also by a replica that did not see the pause.
func TestNoTickStartsAfterPause(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: cron.MissedAll})
		client := etcd.Client(t)
		first := run(t.Context(), t, etcd, c, func(_ context.Context, tick *cron.Tick) error {
			ts.add(0, tick)
			time.Sleep(2 * time.Second)
			return nil
		})
		time.Sleep(2*time.Minute + time.Second)
		if err := c.Resume(t.Context(), client); err != nil {
			t.Errorf("Resume without a pause = %v", err)
		}
		for _, why := range []string{"first", "migration"} {
			if err := c.Pause(t.Context(), client, why); err != nil {
				t.Errorf("Pause = %v", err)
			}
		}
		time.Sleep(3 * time.Minute)
		first.stop()
		_ = first.wait()
		if got := history(t, etcd, c); len(got) != 2 || got[1].Error != "" {
			t.Errorf("history %+v", got)
		}
		for range 2 {
			if err := c.Resume(t.Context(), client); err != nil {
				t.Errorf("Resume = %v", err)
			}
			time.Sleep(30 * time.Second)
		}
		run(t.Context(), t, etcd, c, ts.notes(1))
		time.Sleep(time.Minute)
		ts.wantMinutes(t, 0, 1, 5, 6)
	})
}

// TestPauseRacesWithATick: the runner has not seen the pause when it starts the tick.
func TestPauseRacesWithATick(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), nil)
		run(t.Context(), t, etcd, c, mustNotRun(t))
		synctest.Wait()
		time.Sleep(50 * time.Second)
		etcd.BreakWatches(true)
		if err := c.Pause(t.Context(), etcd.Client(t), "why"); err != nil {
			t.Errorf("Pause = %v", err)
		}
		time.Sleep(12 * time.Second)
		etcd.BreakWatches(false)
		time.Sleep(2 * time.Minute)
	})
}

func TestATickByHand(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		var asked []cron.Request
		c := cron.New(name, cron.Every(10*time.Minute),
			&cron.Options{Session: &session.Options{Name: "me"}})
		client := etcd.Client(t)
		run(t.Context(), t, etcd, c, func(_ context.Context, tick *cron.Tick) error {
			ts.add(0, tick)
			if request, ok := tick.Trigger(); ok {
				asked = append(asked, request)
			}
			time.Sleep(time.Second)
			return nil
		})
		synctest.Wait()
		time.Sleep(time.Minute)
		if err := c.Trigger(t.Context(), client, "because"); err != nil {
			t.Errorf("Trigger = %v", err)
		}
		synctest.Wait()
		if err := c.Trigger(t.Context(), client, "second"); err != nil { // while the first one runs
			t.Errorf("Trigger = %v", err)
		}
		if err := c.Trigger(t.Context(), client, "third"); !errors.Is(err, cron.ErrPending) {
			t.Errorf("Trigger = %v", err)
		}
		time.Sleep(5 * time.Second)
		if err := c.Pause(t.Context(), client, "because"); err != nil {
			t.Errorf("Pause = %v", err)
		}
		if err := c.Trigger(t.Context(), client, "in a pause"); err != nil {
			t.Errorf("Trigger = %v", err)
		}
		time.Sleep(5 * time.Second)
		if err := c.Resume(t.Context(), client); err != nil {
			t.Errorf("Resume = %v", err)
		}
		time.Sleep(9 * time.Minute)
		got := history(t, etcd, c)
		if len(got) != 4 || len(asked) != 3 || got[3].Trigger != nil ||
			got[3].Scheduled.Sub(got[3].Scheduled.Truncate(10*time.Minute)) != 0 {
			t.Fatalf("%d, %+v", len(asked), got)
		}
		for i, why := range []string{"because", "second", "in a pause"} {
			if r := got[i].Trigger; r == nil || r.Why != why || !strings.HasPrefix(r.By, "me (") ||
				asked[i] != *r || !got[i].Scheduled.Equal(r.At) {
				t.Errorf("%+v", got[i])
			}
		}
	})
}

// TestHistoryNeedsAClient: a client that is nil is an error.
func TestHistoryNeedsAClient(t *testing.T) {
	t.Parallel()
	_, err := cron.New(name, nil, nil).History(t.Context(), nil)
	if !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("History = %v", err)
	}
}

// TestRequestsNeedAReason: a reason of 1.5 MiB could be stored, but not the start of its tick, so
// that one request would have ended all replicas.
func TestRequestsNeedAReason(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c, client := cron.New(name, nil, nil), etcd.Client(t)
		long := strings.Repeat("x", cron.MaxReason+1)
		for _, err := range []error{
			c.Pause(t.Context(), client, " \n"), c.Trigger(t.Context(), client, ""),
			c.Pause(t.Context(), client, long), c.Trigger(t.Context(), client, long),
		} {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%v", err)
			}
		}
		if etcd.Leases() != 0 || len(etcd.Keys(name)) != 0 {
			t.Errorf("%d leases, keys %q", etcd.Leases(), etcd.Keys(name))
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{History: 3})
		r := run(t.Context(), t, etcd, c, ts.notes(0))
		time.Sleep(5*time.Minute + 30*time.Second)
		check := func(c *cron.Cron, n int) {
			t.Helper()
			got := history(t, etcd, c)
			all := ts.list()[len(ts.list())-n:]
			if len(got) != n || len(etcd.Keys(name+"//history/")) != n {
				t.Errorf("%d of %q, want %d", len(got), etcd.Keys(name+"//"), n)
				return
			}
			for i, r := range got {
				if !r.Scheduled.Equal(all[i].Scheduled) || r.Fence != all[i].Fence || r.Attempt != 1 ||
					r.Started.Before(r.Scheduled) || r.Ended.Before(r.Started) || r.By == "" {
					t.Errorf("%+v, want %+v", r, all[i])
				}
			}
		}
		check(c, 3)
		r.stop()
		synctest.Wait()
		fewer := cron.New(name, cron.Every(time.Minute), &cron.Options{History: 1})
		run(t.Context(), t, etcd, fewer, ts.notes(0))
		time.Sleep(time.Minute)
		check(fewer, 1)
	})
}

func TestHistoryShowsTheTickThatRuns(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), nil)
		if got := history(t, etcd, c); len(got) != 0 {
			t.Errorf("history %+v", got)
		}
		run(t.Context(), t, etcd, c, func(_ context.Context, tick *cron.Tick) error {
			if got := history(t, etcd, c); len(got) != 1 || !got[0].Ended.IsZero() ||
				!got[0].Scheduled.Equal(tick.Scheduled()) || got[0].Attempt != 1 {
				t.Errorf("history %+v", got)
			}
			return nil
		})
		time.Sleep(time.Minute + time.Second)
	})
}
