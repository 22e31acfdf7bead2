package cron_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// guarded is a function whose write is applied with the end of the tick. It counts the puts of a
// key for each tick.
func guarded(ctx context.Context, tick *cron.Tick) error {
	return tick.Complete(ctx,
		gateway.OpPut("own/"+tick.Scheduled().Format("15:04"), nil))
}

// wantGuarded checks that the guarded write of n ticks was applied once each, and that the history
// has each tick once.
func wantGuarded(t *testing.T, etcd *fakeetcd.Server, c *cron.Cron, n int) {
	t.Helper()
	keys := etcd.Keys("own/")
	for _, key := range keys {
		if kv, _ := etcd.Get(key); kv.Version != 1 {
			t.Errorf("%s was put %d times", key, kv.Version)
		}
	}
	h := history(t, etcd, c)
	if len(keys) != n || len(h) != n {
		t.Errorf("%d guarded writes, %d in the history, want %d: %q", len(keys), len(h), n, keys)
	}
	for i := 1; i < len(h); i++ {
		if !h[i].Scheduled.After(h[i-1].Scheduled) {
			t.Errorf("%v after %v", h[i], h[i-1])
		}
	}
}

// TestLostAnswers: each answer is lost once, before or after it was applied. Each tick is started
// and completed once, by its first attempt.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, apply := range []bool{true, false} {
		for n := 1; n <= 9; n++ {
			t.Run(fmt.Sprint(n, apply), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					c := cron.New(name, cron.Every(time.Minute), nil)
					calls := 0
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if !strings.HasPrefix(c.Path, "/kv/") {
							return c.Apply()
						}
						if calls++; calls != n {
							return c.Apply()
						}
						if apply {
							c.Apply()
						}
						return fakeetcd.Lost
					})
					run(t.Context(), t, etcd, c, guarded)
					time.Sleep(3*time.Minute + time.Second)
					etcd.Script(nil)
					if calls < n {
						t.Errorf("%d calls", calls)
					}
					wantGuarded(t, etcd, c, 3)
					for _, r := range history(t, etcd, c) {
						if r.Attempt != 1 {
							t.Errorf("%+v", r)
						}
					}
				})
			})
		}
	}
}

// TestSessionLostAtEachStep: the lease is revoked before a request of the first replica. The tick
// goes on in another, and the first one joins again.
func TestSessionLostAtEachStep(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 8; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: cron.MissedAll})
				var calls atomic.Int32
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if !strings.HasPrefix(c.Path, "/kv/") || int(calls.Add(1)) != n {
						return c.Apply()
					}
					for _, key := range etcd.Keys(name + "/") {
						if kv, _ := etcd.Get(key); kv.Lease != 0 {
							etcd.Revoke(kv.Lease)
							break
						}
					}
					c.Sleep(time.Second) // so that the session notices
					return c.Apply()
				})
				first := run(t.Context(), t, etcd, c, guarded)
				synctest.Wait()
				run(t.Context(), t, etcd, c, guarded)
				time.Sleep(3*time.Minute + 30*time.Second)
				etcd.Script(nil)
				wantGuarded(t, etcd, c, 3)
				select {
				case err := <-first.done:
					t.Errorf("Run = %v", err)
					first.done <- err
				default:
				}
			})
		})
	}
}

// TestCtxEndsAtEachStep: the server does not answer from a request on, until the context of the
// replica has ended. Run returns in time, and another goes on.
func TestCtxEndsAtEachStep(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 8; n++ {
		for _, apply := range []bool{true, false} {
			t.Run(fmt.Sprint(n, apply), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: cron.MissedAll})
					var calls atomic.Int32
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if !strings.HasPrefix(c.Path, "/kv/") {
							return c.Apply()
						}
						call := int(calls.Add(1))
						if call < n {
							return c.Apply()
						}
						if apply && call == n {
							c.Apply()
						}
						return c.Silence()
					})
					first := run(t.Context(), t, etcd, c, guarded)
					time.Sleep(time.Minute + 2*time.Second)
					stopped := time.Now()
					first.stop()
					err := first.wait()
					if !errors.Is(err, context.Canceled) {
						t.Errorf("Run = %v", err)
					}
					if late := time.Since(stopped); late > 5*time.Second {
						t.Errorf("returned %v after the end of its context", late)
					}
					etcd.Script(nil)
					run(t.Context(), t, etcd, c, guarded)
					time.Sleep(2*time.Minute + 30*time.Second)
					keys := etcd.Keys("own/")
					wantGuarded(t, etcd, c, len(keys))
					if len(keys) < 2 {
						t.Errorf("guarded writes %q", keys)
					}
				})
			})
		}
	}
}

// TestAStopDoesNotCutOffTheEndOfATick: a replica is stopped while it waits for the answer to the
// end of a tick whose function has succeeded. No other replica runs the tick again.
func TestAStopDoesNotCutOffTheEndOfATick(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		missed := &cron.Options{Missed: cron.MissedAll}
		c := cron.New(name, cron.Every(time.Minute), missed)
		var ts ticks
		first := run(t.Context(), t, etcd, c, ts.notes(0))
		var stopped time.Time
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case !c.IsTxn("//history/"):
			case stopped.IsZero():
				stopped = time.Now()
				first.stop()
				return fakeetcd.Lost
			case time.Since(stopped) < 500*time.Millisecond:
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		run(t.Context(), t, etcd, c, ts.notes(1))
		time.Sleep(3*time.Minute + time.Second)
		if stopped.IsZero() {
			t.Error("not stopped")
		}
		ts.wantEach(t, time.Minute, 3)
	})
}

// TestCompleteCutOff: the context of a Complete ends before its answer. A repeated Complete, and
// the end of the function, wait for the outcome.
func TestCompleteCutOff(t *testing.T) {
	t.Parallel()
	for _, apply := range []bool{true, false} {
		for _, repeats := range []bool{true, false} {
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				c := cron.New(name, cron.Every(time.Minute), nil)
				cut := false
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if cut || !c.IsTxn("own/") {
						return c.Apply()
					}
					cut = true
					if apply {
						c.Apply()
					}
					return c.Silence()
				})
				run(t.Context(), t, etcd, c, func(ctx context.Context, tick *cron.Tick) error {
					short, cancel := context.WithTimeout(ctx, time.Second/2)
					defer cancel()
					err := guarded(short, tick)
					if first := tick.Attempt() == 1 && tick.Scheduled().Minute() == 1; first !=
						errors.Is(err, gateway.ErrUncertain) {
						t.Errorf("Complete = %v", err)
					}
					if err != nil && repeats {
						if err := tick.Complete(ctx); err != nil {
							t.Errorf("repeated Complete = %v", err)
						}
					}
					return nil
				})
				time.Sleep(2*time.Minute + 30*time.Second)
				wantGuarded(t, etcd, c, 2)
				if h := history(t, etcd, c); len(h) != 2 || h[0].Attempt != 1 {
					t.Errorf("history %+v", h)
				}
				etcd.Script(nil)
			})
		}
	}
}

// TestCompleteCutOffAndKeyDeleted: the tick was lost before the Complete could be applied. A
// repeated Complete does not report success, and another attempt is made.
func TestCompleteCutOffAndKeyDeleted(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), nil)
		cut := false
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if cut || !c.IsTxn("own/") {
				return c.Apply()
			}
			cut = true
			return c.Silence()
		})
		run(t.Context(), t, etcd, c, func(ctx context.Context, tick *cron.Tick) error {
			if tick.Attempt() > 1 {
				return guarded(ctx, tick)
			}
			short, cancel := context.WithTimeout(ctx, time.Second/2)
			defer cancel()
			etcd.Delete(tick.Key())
			if err := guarded(short, tick); !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Complete = %v", err)
			}
			err := tick.Complete(context.Background())
			if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("repeated Complete = %v", err)
			}
			return nil
		})
		time.Sleep(time.Minute + 30*time.Second)
		etcd.Script(nil)
		wantGuarded(t, etcd, c, 1)
	})
}

// TestDatabaseFull: nothing starts while etcd rejects writes. A function that has returned ends its
// tick once there is space, without another attempt.
func TestDatabaseFull(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: cron.MissedAll})
		for i := range 2 {
			run(t.Context(), t, etcd, c, func(_ context.Context, tick *cron.Tick) error {
				ts.add(i, tick)
				if len(ts.list()) == 1 {
					etcd.Fill(true)
				}
				return nil
			})
		}
		time.Sleep(3*time.Minute + 30*time.Second)
		if len(ts.list()) != 1 {
			t.Errorf("%+v", ts.list())
		}
		etcd.Fill(false)
		time.Sleep(5 * time.Second)
		ts.wantMinutes(t, 0, 1, 2)
		etcd.Fill(true)
		time.Sleep(time.Minute)
		etcd.Fill(false)
		time.Sleep(time.Minute)
		ts.wantMinutes(t, 0, 1, 2, 3, 4)
		for _, r := range history(t, etcd, c) {
			if r.Attempt != 1 || r.Error != "" {
				t.Errorf("%+v", r)
			}
		}
	})
}

// TestAnOutageLosesNoTick: etcd does not answer for longer than all leases.
func TestAnOutageLosesNoTick(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: cron.MissedAll})
		for range 3 {
			run(t.Context(), t, etcd, c, guarded)
		}
		time.Sleep(time.Minute + 30*time.Second)
		etcd.Freeze()
		time.Sleep(3 * time.Minute)
		etcd.Thaw()
		time.Sleep(time.Minute)
		wantGuarded(t, etcd, c, 5)
	})
}
