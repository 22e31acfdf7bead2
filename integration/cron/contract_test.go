package cron_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		for name, test := range map[string]func(*testing.T, gateway.Config, *gateway.Client){
			"Each tick":  eachTick,
			"Complete":   completed,
			"Rejected":   rejected,
			"Replaced":   replaced,
			"Taken over": takenOver,
			"Timeout":    timedOut,
			"Failed":     failed,
			"Paused":     paused,
			"By hand":    byHand,
			"Schedules":  schedules,
			"History":    bounded,
			"Two writes": twoWrites,
		} {
			t.Run(name, func(t *testing.T) { test(t, cfg, c) })
		}
	})
}

var all = &cron.Options{Missed: cron.MissedAll}

// eachTick: of several replicas one runs each tick, also when the first one leaves.
func eachTick(t *testing.T, cfg gateway.Config, _ *gateway.Client) {
	name := fresh(t)
	var ts ticks
	c := cron.New(name, cron.Every(often), all)
	first := run(t, cfg, name, c, ts.notes)
	run(t, cfg, name, c, ts.notes)
	run(t, cfg, name, c, ts.notes)
	eventually(t, "ticks", func() bool { return len(ts.list()) >= 10 })
	first.stop()
	if err := first.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	before := len(ts.list())
	eventually(t, "ticks", func() bool { return len(ts.list()) >= before+10 })
	wantEach(t, ts.list(), often)
}

// completed: the operations of Complete and the end of the tick have one revision.
func completed(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	done := make(chan error, 1)
	job := cron.New(name, rarely, nil)
	run(t, cfg, name, job, func(ctx context.Context, tick *cron.Tick) error {
		ops := []gateway.Op{gateway.OpPut(name+"-own", nil)}
		for len(ops) < cron.MaxOps {
			ops = append(ops, gateway.OpGet("x"))
		}
		done <- tick.Complete(ctx, ops...)
		return nil
	})
	if err := errors.Join(job.Trigger(within(t, time.Minute), c, "a test"), <-done); err != nil {
		t.Error(err)
	}
	resp, err := c.Txn(within(t, time.Minute), gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(name + "-own"), gateway.OpGet(name + "//state"),
		gateway.OpGet(name+"//history/", gateway.Prefix()),
		gateway.OpGet(name+"//running", gateway.Prefix()),
	}})
	if err != nil {
		t.Fatal(err)
	}
	revision := resp.Responses[0].Get.KVs[0].ModRevision
	for _, r := range resp.Responses[1:3] {
		if len(r.Get.KVs) != 1 || r.Get.KVs[0].ModRevision != revision {
			t.Errorf("%v, want revision %d", r.Get.KVs, revision)
		}
	}
	if left := resp.Responses[3].Get.KVs; len(left) != 0 {
		t.Errorf("%v", left)
	}
}

// rejected: without its operations the tick has not ended.
func rejected(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	job := cron.New(name, rarely, nil)
	run(t, cfg, name, job, func(ctx context.Context, tick *cron.Tick) error {
		if tick.Attempt() > 1 {
			return nil
		}
		err := tick.Complete(ctx, gateway.OpPut("x", nil), gateway.OpPut("x", nil))
		if !errors.Is(err, gateway.ErrInvalid) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Complete = %v", err)
		}
		return nil
	})
	if err := job.Trigger(within(t, time.Minute), c, "a test"); err != nil {
		t.Error(err)
	}
	if r := ended(t, c, job); r.Attempt != 2 || r.Error != "" {
		t.Errorf("%+v", r)
	}
}

// ended waits until the first tick has ended and returns it.
func ended(t *testing.T, c *gateway.Client, job *cron.Cron) (first cron.Record) {
	t.Helper()
	eventually(t, "end", func() bool {
		records, err := job.History(within(t, time.Minute), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return false
		}
		first = records[len(records)-1]
		return !first.Ended.IsZero()
	})
	return first
}

// replaced: the process of an attempt is gone, as far as etcd knows.
func replaced(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	job := cron.New(name, rarely, &cron.Options{
		Session: &session.Options{TTL: 2 * time.Second, AllowShortTTL: true},
	})
	dead := newClient(t, cfg)
	lost := make(chan error, 1)
	go func() {
		_ = job.Run(t.Context(), dead, func(ctx context.Context, tick *cron.Tick) error {
			_ = dead.Close()
			<-ctx.Done()
			lost <- tick.Complete(context.Background())
			return nil
		})
	}()
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 1 })
	run(t, cfg, name, job, func(ctx context.Context, tick *cron.Tick) error { return nil })
	if err := job.Trigger(within(t, time.Minute), c, "a test"); err != nil {
		t.Error(err)
	}
	if r := ended(t, c, job); r.Attempt != 2 || r.Error != "" {
		t.Errorf("%+v", r)
	}
	if err := <-lost; !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Complete = %v", err)
	}
}

// takenOver: an operator deletes the place of a replica. The next one takes the tick over, and late
// writes of the first are refused.
func takenOver(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	job := cron.New(name, rarely, nil)
	late := make(chan error, 1)
	begun, over := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(over) })
	run(t, cfg, name, job, func(ctx context.Context, tick *cron.Tick) error {
		close(begun)
		<-ctx.Done()
		<-over
		_, err := tick.Txn(context.Background(), gateway.Txn{})
		late <- errors.Join(err, tick.Complete(context.Background()))
		return nil
	})
	if err := job.Trigger(within(t, time.Minute), c, "a test"); err != nil {
		t.Error(err)
	}
	t.Cleanup(release)
	<-begun
	place := members(t, c, name)[0]
	run(t, cfg, name, job, func(context.Context, *cron.Tick) error { return nil })
	if _, err := c.Delete(within(t, time.Minute), place); err != nil {
		t.Error(err)
	}
	r := ended(t, c, job)
	release()
	if err := <-late; r.Attempt != 2 || !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("%+v, %v", r, err)
	}
}

// timedOut: the tick goes to another, also if the function goes on.
func timedOut(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	job := cron.New(name, rarely, &cron.Options{
		Timeout: 100 * time.Millisecond, Backoff: func(int) time.Duration { return 0 },
	})
	over := make(chan struct{})
	release := sync.OnceFunc(func() { close(over) })
	run(t, cfg, name, job, func(ctx context.Context, tick *cron.Tick) error {
		<-over
		if cause := context.Cause(ctx); !errors.Is(cause, cron.ErrTimeout) {
			t.Errorf("cause %v", cause)
		}
		if err := tick.Complete(context.Background()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Complete = %v", err)
		}
		return nil
	})
	t.Cleanup(release)
	run(t, cfg, name, job, func(context.Context, *cron.Tick) error { return nil })
	if err := job.Trigger(within(t, time.Minute), c, "a test"); err != nil {
		t.Error(err)
	}
	r := ended(t, c, job)
	release()
	if r.Attempt != 2 || r.Error != "" {
		t.Errorf("%+v", r)
	}
}

// failed: the error of the last attempt is in the history.
func failed(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	job := cron.New(name, rarely, &cron.Options{
		MaxAttempts: 2, Backoff: func(int) time.Duration { return 0 },
	})
	for range 2 {
		run(t, cfg, name, job, func(context.Context, *cron.Tick) error { return errors.New("own error") })
	}
	if err := job.Trigger(within(t, time.Minute), c, "a test"); err != nil {
		t.Error(err)
	}
	if r := ended(t, c, job); r.Attempt != 2 || r.Error != "own error" {
		t.Errorf("%+v", r)
	}
}

// paused: no tick starts after Pause has returned, and the ticks of the pause are skipped.
func paused(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	var ts ticks
	job := cron.New(name, cron.Every(often), all)
	run(t, cfg, name, job, ts.notes)
	eventually(t, "ticks", func() bool { return len(ts.list()) >= 3 })
	if err := job.Pause(within(t, time.Minute), c, "a test"); err != nil {
		t.Error(err)
	}
	eventually(t, "the end of the last tick", func() bool {
		r, err := job.History(within(t, time.Minute), c)
		return err == nil && !r[0].Ended.IsZero()
	})
	before := ts.list()
	pause(t, t.Context(), 10*often, "ticks of the pause")
	if n := len(ts.list()); n != len(before) {
		t.Errorf("%d ticks in the pause", n-len(before))
	}
	if err := job.Resume(within(t, time.Minute), c); err != nil {
		t.Error(err)
	}
	eventually(t, "ticks", func() bool { return len(ts.list()) >= len(before)+3 })
	after := ts.list()[len(before):]
	if gap := after[0].Sub(before[len(before)-1]); gap < 10*often {
		t.Errorf("the first tick after the pause is %v after the last one before", gap)
	}
	wantEach(t, after, often)
}

// byHand: each Trigger that has returned nil starts one tick.
func byHand(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	var ts ticks
	job := cron.New(name, rarely, nil)
	for range 2 {
		run(t, cfg, name, job, ts.notes)
	}
	triggered := 0
	for range 10 {
		err := job.Trigger(within(t, time.Minute), c, "a test")
		if err == nil {
			triggered++
		} else if !errors.Is(err, cron.ErrPending) {
			t.Errorf("Trigger = %v", err)
		}
	}
	eventually(t, "ticks", func() bool { return len(ts.list()) == triggered })
	r := ended(t, c, job)
	if r.Trigger == nil || r.Trigger.Why != "a test" || r.Trigger.By == "" {
		t.Errorf("%+v", r)
	}
}

// schedules: a replica with another schedule returns an error, and the others go on.
func schedules(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	var ts ticks
	run(t, cfg, name, cron.New(name, cron.Every(often), nil), ts.notes)
	err := cron.New(name, rarely, nil).Run(within(t, time.Minute), c, ts.notes)
	if !errors.Is(err, cron.ErrScheduleMismatch) || !strings.Contains(err.Error(), "2400h0m0s") ||
		!strings.Contains(err.Error(), "20ms") {
		t.Errorf("Run = %v", err)
	}
	before := len(ts.list())
	eventually(t, "ticks", func() bool { return len(ts.list()) >= before+3 })
}

// bounded: the history has its last ticks.
func bounded(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	var ts ticks
	job := cron.New(name, cron.Every(often), &cron.Options{History: 3})
	r := run(t, cfg, name, job, ts.notes)
	eventually(t, "ticks", func() bool { return len(ts.list()) >= 8 })
	r.stop()
	_ = r.wait()
	records, err := job.History(within(t, time.Minute), c)
	resp, kept := c.Get(within(t, time.Minute), name+"//history/", gateway.Prefix(),
		gateway.KeysOnly())
	seen := ts.list()
	if err != nil || kept != nil || len(records) != 3 || len(resp.KVs) != 3 ||
		!records[0].Scheduled.Equal(seen[len(seen)-1]) {
		t.Errorf("%v, %v, %v, %v", records, err, resp, kept)
	}
}

// twoWrites: each tick puts the state twice, with several replicas. The function of the nth tick
// reads the version 2n: the place was put once, and the end of the tick has yet to be. The ticks
// after the tenth are not compared, because one may be stopped between its first write and its
// function.
func twoWrites(t *testing.T, cfg gateway.Config, c *gateway.Client) {
	name := fresh(t)
	var ts ticks
	job := cron.New(name, cron.Every(often), all)
	for range 3 {
		run(t, cfg, name, job, func(ctx context.Context, tick *cron.Tick) error {
			resp, err := c.Get(ctx, name+"//state")
			if err != nil {
				return err
			}
			ts.add(tick)
			n := len(ts.list())
			if n <= 10 && (len(resp.KVs) != 1 || resp.KVs[0].Version != int64(2*n)) {
				t.Errorf("tick %d reads %v", n, resp.KVs)
			}
			return nil
		})
	}
	eventually(t, "ticks", func() bool { return len(ts.list()) >= 10 })
}
