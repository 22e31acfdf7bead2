package once_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/once"
)

var errOwn = errors.New("own error")

// TestFailedRunIsReplacedAfterThePause: the caller whose function fails has its error, and one of
// the others runs after the pause.
func TestFailedRunIsReplacedAfterThePause(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var runs []string
		begun := time.Now()
		fn := func(_ context.Context, run *once.Run) ([]byte, error) {
			runs = append(runs, fmt.Sprint(run.Attempt(), " after ", time.Since(begun).Round(time.Second)))
			if run.Attempt() < 4 {
				return nil, errOwn
			}
			return []byte("result"), nil
		}
		var calls []<-chan outcome
		for range 3 { // each has two calls of one Once
			o := once.New(bubble.Session(t, etcd), name, nil)
			calls = append(calls, start(t.Context(), o, fn), start(t.Context(), o, fn))
		}
		failed := 0
		for _, done := range calls {
			got := <-done
			if errors.Is(got.err, errOwn) {
				failed++
				continue
			}
			want(t, got, "result", 4)
		}
		const wanted = "1 after 0s, 2 after 1s, 3 after 3s, 4 after 7s"
		if got := strings.Join(runs, ", "); got != wanted || failed != 3 {
			t.Errorf("runs %s; want %s; %d failed", got, wanted, failed)
		}
		wantKeys(t, etcd, name+"//result")
	})
}

func TestOptionsBackoff(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var attempts []int
		backoff := func(attempt int) time.Duration {
			attempts = append(attempts, attempt)
			return 5 * time.Minute
		}
		o := once.New(bubble.Session(t, etcd), name, &once.Options{Backoff: backoff})
		if _, err := o.Do(t.Context(), fails(errOwn)); !errors.Is(err, errOwn) {
			t.Errorf("Do = %v", err)
		}
		_, err := o.Do(bubble.Within(t, time.Minute), mustNotRun(t))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do during the pause = %v", err)
		}
		if len(attempts) != 1 || attempts[0] != 1 {
			t.Errorf("attempts %v", attempts)
		}
		wantDo(t, o, returns("result"), "result", 3)
	})
}

func TestFailureOfTheLastAttemptIsTheResult(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		opts := &once.Options{MaxAttempts: 2, Retention: 20 * time.Minute}
		o, other := once.New(bubble.Session(t, etcd), name, opts),
			once.New(bubble.Session(t, etcd), name, opts)
		if _, err := o.Do(t.Context(), fails(errOwn)); !errors.Is(err, errOwn) ||
			errors.Is(err, once.ErrFailed) {
			t.Errorf("Do = %v", err)
		}
		last := start(t.Context(), o, func(context.Context, *once.Run) ([]byte, error) {
			time.Sleep(time.Minute)
			return nil, errOwn
		})
		synctest.Wait()
		local := start(t.Context(), o, mustNotRun(t))
		waiting := start(t.Context(), other, mustNotRun(t))
		if got := <-last; !errors.Is(got.err, errOwn) || !errors.Is(got.err, once.ErrFailed) || !got.Ran {
			t.Errorf("Do = %+v", got)
		}
		check := func(got outcome) {
			t.Helper()
			f, ok := errors.AsType[*once.FailedError](got.err)
			if !ok || !errors.Is(got.err, once.ErrFailed) || f.Attempts != 2 || f.Text != "own error" ||
				got.Attempt != 2 || got.Ran || !strings.HasSuffix(got.err.Error(), f.Error()) {
				t.Errorf("%+v", got)
			}
		}
		check(<-local)
		check(<-waiting)
		res, err := other.TryDo(t.Context(), mustNotRun(t))
		check(outcome{res, err})
		res, err = other.Result(t.Context())
		check(outcome{res, err})
		time.Sleep(21 * time.Minute)
		wantDo(t, other, returns("result"), "result", 1)
	})
}

func TestTextOfAFailure(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"": "an error without text", "a\xffb": "a\uFFFDb", "two\nlines": "two\nlines",
		strings.Repeat("x", 5000):        strings.Repeat("x", 4096),
		strings.Repeat("ö", 2047) + "xö": strings.Repeat("ö", 2047) + "x\uFFFD",
	} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			o := once.New(bubble.Session(t, etcd), name, &once.Options{MaxAttempts: 1})
			_, _ = o.Do(t.Context(), fails(errors.New(given)))
			_, err := o.Result(t.Context())
			if f, ok := errors.AsType[*once.FailedError](err); !ok || f.Text != want {
				t.Errorf("%q: %v", given, err)
			}
		})
	}
}

// TestRunsOfDeadProcessesCount: a function that kills its process does not run more often than
// MaxAttempts.
func TestRunsOfDeadProcessesCount(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		opts := &once.Options{MaxAttempts: 3}
		runs := 0
		for range 3 {
			s := bubble.Session(t, etcd)
			_, err := once.New(s, name, opts).Do(t.Context(),
				func(ctx context.Context, run *once.Run) ([]byte, error) {
					if runs++; run.Attempt() != runs {
						t.Errorf("attempt %d of run %d", run.Attempt(), runs)
					}
					s.Orphan()
					<-ctx.Done()
					return nil, ctx.Err()
				})
			if err == nil {
				t.Error("Do = nil")
			}
			time.Sleep(time.Minute)
		}
		for range 2 {
			res, err := once.New(bubble.Session(t, etcd), name, opts).Do(t.Context(), mustNotRun(t))
			f, ok := errors.AsType[*once.FailedError](err)
			if !ok || f.Attempts != 3 || res.Attempt != 3 || res.Ran {
				t.Errorf("%+v, %v", res, err)
			}
		}
		wantKeys(t, etcd, name+"//result")
	})
}

// TestUnwindingRunIsReplaced: a function that panics or ends its goroutine has failed.
func TestUnwindingRunIsReplaced(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"panic", "Goexit", "panic after Complete", "panic in Backoff"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				opts := &once.Options{Backoff: func(int) time.Duration { return time.Minute }}
				o := once.New(bubble.Session(t, etcd), name, opts)
				if kind == "panic in Backoff" {
					_, _ = o.Do(t.Context(), fails(errOwn))
					opts.Backoff = func(int) time.Duration { panic(kind) }
					o = once.New(bubble.Session(t, etcd), name, opts)
				}
				var local, waiting <-chan outcome
				value, _ := fakeetcd.Unwound(func() {
					_, _ = o.Do(t.Context(), func(ctx context.Context, run *once.Run) ([]byte, error) {
						local = start(t.Context(), o, returns("second"))
						waiting = start(t.Context(), once.New(bubble.Session(t, etcd), name, nil), returns("second"))
						synctest.Wait()
						switch kind {
						case "Goexit":
							runtime.Goexit()
						case "panic after Complete":
							if err := run.Complete(ctx, []byte("first")); err != nil {
								t.Error(err)
							}
						}
						panic(kind)
					})
				})
				if got := fmt.Sprint(value); kind != "Goexit" && got != kind {
					t.Errorf("panicked with %v", value)
				}
				wanted, attempt := "second", 2
				switch kind {
				case "panic after Complete":
					wanted, attempt = "first", 1
				case "panic in Backoff":
					wantDo(t, once.New(bubble.Session(t, etcd), name, nil), returns("second"), "second", 3)
					return
				}
				want(t, <-local, wanted, attempt)
				want(t, <-waiting, wanted, attempt)
				wantKeys(t, etcd, name+"//result")
			})
		})
	}
}

// TestAttemptAfterLostAnswers: each answer of a run is lost once, before or after it was applied.
// The attempt is counted once, and the result is committed once.
func TestAttemptAfterLostAnswers(t *testing.T) {
	t.Parallel()
	for _, apply := range []bool{true, false} {
		for n := 1; n <= 8; n++ {
			t.Run(fmt.Sprint(n, apply), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					o := once.New(bubble.Session(t, etcd), name, &once.Options{Retention: time.Hour})
					_, _ = o.Do(t.Context(), fails(errOwn))
					txns := 0
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.Path == "/lease/keepalive" {
							return c.Apply()
						}
						if txns++; txns != n {
							return c.Apply()
						}
						if apply {
							c.Apply()
						}
						return fakeetcd.Lost
					})
					runs := 0
					wantDo(t, o, func(_ context.Context, run *once.Run) ([]byte, error) {
						runs++
						return []byte("result"), run.Err()
					}, "result", 2)
					kv, _ := etcd.Get(name + "//result")
					if runs != 1 || kv.Version != 1 {
						t.Errorf("%d runs, the result was put %d times", runs, kv.Version)
					}
					wantKeys(t, etcd, name+"//result")
				})
			})
		}
	}
}
