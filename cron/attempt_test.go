package cron_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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

// TestAFailedAttemptIsRepeatedByAnother: after a pause, which doubles.
func TestAFailedAttemptIsRepeatedByAnother(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{MaxAttempts: 4})
		for i := range 3 {
			run(t.Context(), t, etcd, c, func(_ context.Context, tick *cron.Tick) error {
				ts.add(i, tick)
				if tick.Attempt() < 4 {
					return errOwn
				}
				return nil
			})
			synctest.Wait()
		}
		time.Sleep(time.Minute + 30*time.Second)
		var got []string
		for _, s := range ts.list() {
			got = append(got, fmt.Sprintf("%d by %d after %v", s.Attempt, s.Replica,
				s.At.Sub(s.Scheduled).Round(time.Second)))
		}
		const want = "1 by 0 after 0s, 2 by 1 after 1s, 3 by 2 after 3s, 4 by 0 after 7s"
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s, want %s", s, want)
		}
		if h := history(t, etcd, c); len(h) != 1 || h[0].Attempt != 4 || h[0].Error != "" {
			t.Errorf("history %+v", h)
		}
	})
}

// TestATickFailsAfterItsLastAttempt: the next tick starts, and the history has the error.
func TestATickFailsAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{
			MaxAttempts: 2, Backoff: func(attempt int) time.Duration {
				return time.Duration(attempt) * 10 * time.Second
			},
		})
		run(t.Context(), t, etcd, c, func(_ context.Context, tick *cron.Tick) error {
			ts.add(0, tick)
			return fmt.Errorf("%w of attempt %d", errOwn, tick.Attempt())
		})
		time.Sleep(2*time.Minute + 5*time.Second)
		if h := history(t, etcd, c); len(h) != 2 || !h[1].Ended.IsZero() ||
			h[1].Error != "own error of attempt 1" {
			t.Errorf("history %+v", h)
		}
		time.Sleep(25 * time.Second)
		ts.wantMinutes(t, 0, 0, 1, 1)
		h := history(t, etcd, c)
		if len(h) != 2 || h[0].Attempt != 2 || h[0].Error != "own error of attempt 2" ||
			h[0].Ended.Sub(h[0].Scheduled).Round(time.Second) != 10*time.Second {
			t.Errorf("history %+v", h)
		}
	})
}

func TestTextOfAFailure(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"": "an error without text", "a\xffb": "a\uFFFDb",
		strings.Repeat("x", 2000): strings.Repeat("x", 1024),
	} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			c := cron.New(name, cron.Every(time.Minute), &cron.Options{MaxAttempts: 1})
			run(t.Context(), t, etcd, c, func(context.Context, *cron.Tick) error {
				return errors.New(given)
			})
			time.Sleep(time.Minute + time.Second)
			if h := history(t, etcd, c); len(h) != 1 || h[0].Error != want {
				t.Errorf("history %+v", h)
			}
		})
	}
}

// TestADeadReplicaIsReplacedAfterItsLease: its attempt counts, and its late write is refused.
func TestADeadReplicaIsReplacedAfterItsLease(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), nil)
		var dead *replica
		dead = run(t.Context(), t, etcd, c, func(ctx context.Context, tick *cron.Tick) error {
			ts.add(0, tick)
			dead.kill(t)
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), session.ErrLost) {
				t.Errorf("the context's cause: %v", context.Cause(ctx))
			}
			err := tick.Complete(context.Background())
			if !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("Complete = %v", err)
			}
			return nil
		})
		synctest.Wait()
		run(t.Context(), t, etcd, c, ts.notes(1))
		time.Sleep(time.Minute + 30*time.Second)
		all := ts.list()
		if len(all) != 2 || all[1].Replica != 1 || all[1].Attempt != 2 ||
			all[1].Scheduled != all[0].Scheduled || all[1].Fence <= all[0].Fence ||
			all[1].At.Sub(all[0].At) > session.DefaultTTL+time.Second {
			t.Errorf("%+v", all)
		}
	})
}

// TestDeathsAreAttempts: a function that kills its process does not run more often than
// MaxAttempts.
func TestDeathsAreAttempts(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(2*time.Minute), &cron.Options{MaxAttempts: 2})
		for i := range 2 {
			var dead *replica
			dead = run(t.Context(), t, etcd, c, func(ctx context.Context, tick *cron.Tick) error {
				ts.add(i, tick)
				dead.kill(t)
				<-ctx.Done()
				return nil
			})
			synctest.Wait()
		}
		run(t.Context(), t, etcd, c, ts.notes(2))
		time.Sleep(4*time.Minute + 10*time.Second)
		all := ts.list()
		if len(all) != 3 || all[1].Attempt != 2 || all[2].Attempt != 1 ||
			all[2].Scheduled.Sub(all[0].Scheduled) != 2*time.Minute {
			t.Errorf("%+v", all)
		}
		if h := history(t, etcd, c); len(h) != 2 || h[0].Attempt != 2 || h[0].Error == "" {
			t.Errorf("history %+v", h)
		}
	})
}

// TestAStoppedReplicaGivesItsTickAway: at once, and the attempt does not count.
func TestAStoppedReplicaGivesItsTickAway(t *testing.T) {
	t.Parallel()
	for _, finishes := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			var ts ticks
			c := cron.New(name, cron.Every(time.Minute), &cron.Options{MaxAttempts: 1})
			first := run(t.Context(), t, etcd, c, func(ctx context.Context, tick *cron.Tick) error {
				ts.add(0, tick)
				<-ctx.Done()
				if finishes {
					return nil
				}
				return ctx.Err()
			})
			synctest.Wait()
			run(t.Context(), t, etcd, c, ts.notes(1))
			time.Sleep(time.Minute + 10*time.Second)
			first.stop()
			synctest.Wait()
			all, h := ts.list(), history(t, etcd, c)
			if finishes && len(all) != 1 || !finishes && (len(all) != 2 || all[1].Attempt != 1) ||
				len(h) != 1 || h[0].Error != "" {
				t.Errorf("%+v, history %+v", all, h)
			}
		})
	}
}

// TestTimeout: the context ends, and the tick goes to another, also if the function does not
// return. Its late Complete is refused.
func TestTimeout(t *testing.T) {
	t.Parallel()
	for _, stubborn := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			var ts ticks
			c := cron.New(name, cron.Every(time.Minute), &cron.Options{
				Timeout: 10 * time.Second, Backoff: func(int) time.Duration { return 0 },
			})
			run(t.Context(), t, etcd, c, func(ctx context.Context, tick *cron.Tick) error {
				ts.add(0, tick)
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), cron.ErrTimeout) {
					t.Errorf("the context's cause: %v", context.Cause(ctx))
				}
				if stubborn {
					time.Sleep(20 * time.Second)
					err := tick.Complete(context.Background())
					if !errors.Is(err, session.ErrNotHeld) {
						t.Errorf("Complete = %v", err)
					}
				}
				return ctx.Err()
			})
			synctest.Wait()
			run(t.Context(), t, etcd, c, func(_ context.Context, tick *cron.Tick) error {
				ts.add(1, tick)
				time.Sleep(time.Second)
				if h := history(t, etcd, c); len(h) != 1 || h[0].Attempt != 2 {
					t.Errorf("history %+v", h)
				}
				return nil
			})
			time.Sleep(time.Minute + 50*time.Second)
			all, late := ts.list(), 10*time.Second
			if stubborn {
				late += time.Second
			}
			if len(all) != 2 || all[1].Replica != 1 || all[1].Attempt != 2 ||
				all[1].At.Sub(all[0].At).Round(time.Second) != late {
				t.Errorf("%+v", all)
			}
		})
	}
}

// TestTheLongestTimeoutIsNoLimit: it must not overflow, or another replica would run the tick too.
func TestTheLongestTimeoutIsNoLimit(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{Timeout: math.MaxInt64})
		for i := range 2 {
			run(t.Context(), t, etcd, c, func(_ context.Context, tick *cron.Tick) error {
				ts.add(i, tick)
				time.Sleep(30 * time.Second)
				return tick.Err()
			})
			synctest.Wait()
		}
		time.Sleep(2*time.Minute + 45*time.Second)
		ts.wantMinutes(t, 0, 1)
		if h := history(t, etcd, c); len(h) != 2 || h[0].Error != "" || h[1].Error != "" {
			t.Errorf("history %+v", h)
		}
	})
}

func TestTheErrorOfATimeoutSaysSo(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, 20 * time.Second} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			c := cron.New(name, cron.Every(time.Minute), &cron.Options{
				Timeout: 10 * time.Second, MaxAttempts: 1,
			})
			run(t.Context(), t, etcd, c, func(ctx context.Context, _ *cron.Tick) error {
				<-ctx.Done()
				time.Sleep(d)
				return errOwn
			})
			time.Sleep(time.Minute + 50*time.Second)
			h := history(t, etcd, c)
			if len(h) != 1 || !strings.HasPrefix(h[0].Error, cron.ErrTimeout.Error()) {
				t.Errorf("history %+v", h)
			}
		})
	}
}

// TestAResultInTheGraceOfATimeoutCounts: a function that returns nil after its context has ended,
// and before its tick has gone to another.
func TestAResultInTheGraceOfATimeoutCounts(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{Timeout: 10 * time.Second})
		run(t.Context(), t, etcd, c, func(ctx context.Context, _ *cron.Tick) error {
			<-ctx.Done()
			time.Sleep(time.Second / 2)
			return nil
		})
		time.Sleep(time.Minute + 20*time.Second)
		if h := history(t, etcd, c); len(h) != 1 || h[0].Error != "" || h[0].Attempt != 1 {
			t.Errorf("history %+v", h)
		}
	})
}

// TestAnUnwindingFunctionHasFailed: a function that panics or ends its goroutine.
func TestAnUnwindingFunctionHasFailed(t *testing.T) {
	t.Parallel()
	for kind, unwind := range fakeetcd.Unwinding {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				var ts ticks
				c := cron.New(name, cron.Every(time.Minute), nil)
				client := etcd.Client(t)
				done := make(chan any)
				go func() {
					value, _ := fakeetcd.Unwound(func() {
						_ = c.Run(t.Context(), client, func(_ context.Context, tick *cron.Tick) error {
							ts.add(0, tick)
							unwind()
							return nil
						})
					})
					done <- value
				}()
				synctest.Wait()
				run(t.Context(), t, etcd, c, ts.notes(1))
				if value := <-done; kind == "panic" && value != "oh" {
					t.Errorf("panicked with %v", value)
				}
				time.Sleep(5 * time.Second)
				all := ts.list()
				if len(all) != 2 || all[1].Attempt != 2 || all[1].Replica != 1 ||
					all[1].At.Sub(all[0].At) < time.Second { // the pause after a failure
					t.Errorf("%+v", all)
				}
			})
		})
	}
}

// TestCompleteAppliesItsOperationsWithTheEndOfTheTick and the result of the function is ignored.
func TestCompleteAppliesItsOperationsWithTheEndOfTheTick(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), nil)
		run(t.Context(), t, etcd, c, func(ctx context.Context, tick *cron.Tick) error {
			err := tick.Complete(ctx, make([]gateway.Op, cron.MaxOps+1)...)
			if !errors.Is(err, cron.ErrTooLarge) || !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("Complete = %v", err)
			}
			if err := tick.Complete(ctx, gateway.OpPut("own", nil)); err != nil {
				t.Errorf("Complete = %v", err)
			}
			if err := tick.Complete(ctx); !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("another Complete = %v", err)
			}
			if !errors.Is(context.Cause(tick.Context()), session.ErrReleased) || ctx.Err() != nil {
				t.Errorf("the tick: %v; ctx: %v", context.Cause(tick.Context()), ctx.Err())
			}
			return errOwn
		})
		time.Sleep(time.Minute + time.Second)
		own, _ := etcd.Get("own")
		state, _ := etcd.Get(name + "//state")
		if own.ModRevision == 0 || own.ModRevision != state.ModRevision {
			t.Errorf("the operation at %d, the end at %d", own.ModRevision, state.ModRevision)
		}
		if h := history(t, etcd, c); len(h) != 1 || h[0].Error != "" {
			t.Errorf("history %+v", h)
		}
	})
}

// TestARejectedCompleteIsAFailure even if the function returns nil, unless it repeats Complete.
func TestARejectedCompleteIsAFailure(t *testing.T) {
	t.Parallel()
	for _, repeats := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			c := cron.New(name, cron.Every(time.Minute), &cron.Options{MaxAttempts: 1})
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.IsTxn("own") {
					return fakeetcd.Denied()
				}
				return c.Apply()
			})
			run(t.Context(), t, etcd, c, func(ctx context.Context, tick *cron.Tick) error {
				err := tick.Complete(ctx, gateway.OpPut("own", nil))
				if !errors.Is(err, gateway.ErrPermissionDenied) {
					t.Errorf("Complete = %v", err)
				}
				if repeats {
					return tick.Complete(ctx, gateway.OpPut("other", nil))
				}
				return nil
			})
			time.Sleep(time.Minute + time.Second)
			h := history(t, etcd, c)
			if len(h) != 1 || repeats != (h[0].Error == "") {
				t.Errorf("history %+v", h)
			}
			etcd.Script(nil)
		})
	}
}
