package once_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

func TestOneRunsAndAllReceiveTheResult(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var runs, ran atomic.Int32
		var calls []<-chan outcome
		for range 4 {
			o := once.New(bubble.Session(t, etcd), name, nil)
			for range 4 {
				calls = append(calls, start(t.Context(), o,
					func(_ context.Context, run *once.Run) ([]byte, error) {
						runs.Add(1)
						time.Sleep(time.Minute)
						return []byte("result"), run.Err()
					}))
			}
		}
		for _, done := range calls {
			got := <-done
			want(t, got, "result", 1)
			if got.Ran {
				ran.Add(1)
			}
		}
		if runs.Load() != 1 || ran.Load() != 1 {
			t.Errorf("%d runs, %d calls say that they ran", runs.Load(), ran.Load())
		}
		wantKeys(t, etcd, name+"//result")
	})
}

func TestLaterCallersReceiveTheResult(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		wantDo(t, once.New(bubble.Session(t, etcd), name, nil), returns("first"), "first", 1)
		s := bubble.Session(t, etcd)
		o := once.New(s, name, nil)
		wantDo(t, o, mustNotRun(t), "first", 1)
		res, err := o.TryDo(t.Context(), mustNotRun(t))
		want(t, outcome{res, err}, "first", 1)
		res, err = o.Result(t.Context())
		want(t, outcome{res, err}, "first", 1)
		wantDo(t, once.New(s, "another", nil), returns("second"), "second", 1)
		wantKeys(t, etcd, name+"//result")
	})
}

func TestTryDoReturnsErrRunningWhileAnotherRuns(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o, elsewhere := once.New(bubble.Session(t, etcd), name, nil),
			once.New(bubble.Session(t, etcd), name, nil)
		done := start(t.Context(), o, func(context.Context, *once.Run) ([]byte, error) {
			time.Sleep(time.Second)
			return nil, nil
		})
		synctest.Wait()
		for _, o := range []*once.Once{o, elsewhere} {
			if _, err := o.TryDo(t.Context(), mustNotRun(t)); !errors.Is(err, once.ErrRunning) {
				t.Errorf("TryDo = %v", err)
			}
		}
		want(t, <-done, "", 1)
	})
}

// TestTryDoFindsTheResultBesideAnotherCall: a call of the same Once that is about to return the
// result is not one that runs the function.
func TestTryDoFindsTheResultBesideAnotherCall(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		wantDo(t, o, returns("result"), "result", 1)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				c.Sleep(time.Second)
			}
			return c.Apply()
		})
		done := start(t.Context(), o, mustNotRun(t))
		synctest.Wait()
		res, err := o.TryDo(t.Context(), mustNotRun(t))
		want(t, outcome{res, err}, "result", 1)
		want(t, <-done, "result", 1)
		etcd.Script(nil)
	})
}

func TestForgetLetsTheFunctionRunAgain(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		if err := o.Forget(t.Context()); !errors.Is(err, once.ErrNoResult) {
			t.Errorf("Forget = %v", err)
		}
		if _, err := o.Result(t.Context()); !errors.Is(err, once.ErrNoResult) {
			t.Errorf("Result = %v", err)
		}
		wantDo(t, o, returns("first"), "first", 1)
		if err := o.Forget(t.Context()); err != nil {
			t.Error(err)
		}
		wantDo(t, o, returns("second"), "second", 1)
	})
}

// TestForgetWhileOthersWait: the callers that waited receive the result, or run the function again.
func TestForgetWhileOthersWait(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		done := start(t.Context(), o, func(context.Context, *once.Run) ([]byte, error) {
			time.Sleep(time.Second)
			return []byte("first"), nil
		})
		synctest.Wait()
		var others []<-chan outcome
		for range 5 {
			others = append(others,
				start(t.Context(), once.New(bubble.Session(t, etcd), name, nil), returns("second")))
		}
		if err := o.Forget(t.Context()); !errors.Is(err, once.ErrNoResult) {
			t.Errorf("Forget = %v", err)
		}
		want(t, <-done, "first", 1)
		etcd.Delete(name + "//result")
		first := 0
		for _, other := range others {
			got := <-other
			if string(got.Value) == "first" {
				first++
			}
			want(t, got, string(got.Value), 1)
		}
		if first < 4 {
			t.Errorf("%d have the first result", first)
		}
	})
}

func TestResultIsKeptForTheRetention(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, &once.Options{Retention: 20 * time.Minute})
		leases := etcd.Leases()
		wantDo(t, o, returns("first"), "first", 1)
		if got := etcd.Leases(); got != leases+1 {
			t.Errorf("%d leases more", got-leases)
		}
		time.Sleep(20*time.Minute - time.Second)
		wantDo(t, o, mustNotRun(t), "first", 1)
		time.Sleep(2 * time.Second)
		wantDo(t, o, returns("second"), "second", 1)
	})
}

func TestUnusableNamesAndOptions(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		for _, o := range []*once.Once{
			once.New(s, "", nil),
			once.New(s, "a/", nil),
			once.New(s, name, &once.Options{Retention: -1}),
			once.New(s, name, &once.Options{Retention: gateway.MaxTTL + 1}),
			once.New(s, name, &once.Options{MaxAttempts: -1}),
		} {
			_, do := o.Do(t.Context(), mustNotRun(t))
			_, try := o.TryDo(t.Context(), mustNotRun(t))
			_, read := o.Result(t.Context())
			for _, err := range []error{do, try, read, o.Forget(t.Context())} {
				if !errors.Is(err, gateway.ErrInvalid) {
					t.Errorf("%v", err)
				}
			}
		}
	})
}

func TestCorruptResultRunsNothing(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "x", "{}\n", `{"attempt":0}` + "\n", "[]\nx", "1\n", "\n"} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				o := once.New(bubble.Session(t, etcd), name, nil)
				waiting := once.New(bubble.Session(t, etcd), name, nil)
				etcd.Put(name+"//result", value)
				_, do := o.Do(t.Context(), mustNotRun(t))
				_, try := waiting.TryDo(t.Context(), mustNotRun(t))
				_, read := o.Result(t.Context())
				for _, err := range []error{do, try, read} {
					if !errors.Is(err, session.ErrCorrupt) {
						t.Errorf("%v", err)
					}
				}
				if err := o.Forget(t.Context()); err != nil {
					t.Error(err)
				}
				wantDo(t, o, returns("result"), "result", 1)
			})
		})
	}
}

// TestCorruptFailureIsIgnored: a failure that this library did not write causes no pause.
func TestCorruptFailureIsIgnored(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "x", "{}", `{"attempt":0,"error":"x"}`, `{"attempt":-1,"error":"x"}`, "[]", "null",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				etcd.Put(name+"//failure", value)
				before := time.Now()
				wantDo(t, once.New(bubble.Session(t, etcd), name, nil), returns("result"), "result", 1)
				if took := time.Since(before); took > time.Second/2 {
					t.Errorf("took %v", took)
				}
				wantKeys(t, etcd, name+"//result")
			})
		})
	}
}

func TestResultIsACopy(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		value := []byte("result")
		res, err := o.Do(t.Context(), func(ctx context.Context, run *once.Run) ([]byte, error) {
			err := run.Complete(ctx, value)
			clear(value)
			return value, err
		})
		want(t, outcome{res, err}, "result", 1)
		wantDo(t, o, mustNotRun(t), "result", 1)
	})
}

// TestResultTooLargeIsAFailure: the next run waits for the pause, so that callers do not run the
// function in a loop.
func TestResultTooLargeIsAFailure(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		large := bytes.Repeat([]byte("x"), once.MaxResult+1)
		_, err := o.Do(t.Context(), returns(string(large)))
		if !errors.Is(err, once.ErrTooLarge) || !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Do = %v", err)
		}
		before := time.Now()
		large = large[1:]
		wantDo(t, o, returns(string(large)), string(large), 2)
		if paused := time.Since(before); paused < time.Second {
			t.Errorf("ran after %v", paused)
		}
		wantDo(t, o, mustNotRun(t), string(large), 2)
	})
}
