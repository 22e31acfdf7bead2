package once_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// reject rejects the transactions with a text.
func reject(etcd *fakeetcd.Server, text string) {
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if c.IsTxn(text) {
			return fakeetcd.Denied()
		}
		return c.Apply()
	})
}

func TestCompleteAppliesTheOperationsWithTheResult(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		wantDo(t, o, func(ctx context.Context, run *once.Run) ([]byte, error) {
			err := run.Complete(ctx, []byte("result"), gateway.OpPut("own", []byte("x")))
			if again := run.Complete(ctx, nil); !errors.Is(again, session.ErrNotHeld) {
				t.Errorf("another Complete = %v", again)
			}
			if !errors.Is(context.Cause(run.Context()), session.ErrReleased) || ctx.Err() != nil {
				t.Errorf("the hold: %v; ctx: %v", context.Cause(run.Context()), ctx.Err())
			}
			return []byte("ignored"), err
		}, "result", 1)
		own, _ := etcd.Get("own")
		result, _ := etcd.Get(name + "//result")
		if own.ModRevision == 0 || own.ModRevision != result.ModRevision {
			t.Errorf("the operation at %d, the result at %d", own.ModRevision, result.ModRevision)
		}
		wantKeys(t, etcd, name+"//result")
	})
}

func TestErrorAfterCompleteIsReturnedWithTheResult(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		cause := errors.New("late")
		res, err := o.Do(t.Context(), func(ctx context.Context, run *once.Run) ([]byte, error) {
			return nil, errors.Join(cause, run.Complete(ctx, []byte("result")))
		})
		if string(res.Value) != "result" || !res.Ran || !errors.Is(err, cause) {
			t.Errorf("%+v, %v", res, err)
		}
		wantDo(t, o, mustNotRun(t), "result", 1)
	})
}

// TestCompleteRejected: etcd rejects the operations. There is no result then, even if the function
// returns no error, unless it has repeated Complete.
func TestCompleteRejected(t *testing.T) {
	t.Parallel()
	for _, retention := range []time.Duration{0, 10 * time.Minute} {
		for _, then := range []string{"nil", "the error", "ignores a limit"} {
			t.Run(then+" "+retention.String(), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					o := once.New(bubble.Session(t, etcd), name, &once.Options{Retention: retention})
					reject(etcd, "own")
					leases := etcd.Leases()
					_, err := o.Do(t.Context(), func(ctx context.Context, run *once.Run) ([]byte, error) {
						ops := []gateway.Op{gateway.OpPut("own", nil)}
						if then == "ignores a limit" {
							ops = make([]gateway.Op, once.MaxOps+1)
						}
						err := run.Complete(ctx, []byte("result"), ops...)
						if err == nil || errors.Is(err, gateway.ErrUncertain) {
							t.Errorf("Complete = %v", err)
						}
						if then == "the error" {
							return nil, err
						}
						return []byte("without its operations"), nil
					})
					reason := gateway.ErrPermissionDenied
					if then == "ignores a limit" {
						reason = once.ErrTooLarge
					}
					if !errors.Is(err, reason) {
						t.Errorf("Do = %v", err)
					}
					if got := etcd.Leases(); got != leases {
						t.Errorf("%d leases are left", got-leases)
					}
					wantKeys(t, etcd, name+"//attempts", name+"//failure")
					wantDo(t, once.New(bubble.Session(t, etcd), name, nil), returns("second"), "second", 2)
				})
			})
		}
	}
	t.Run("and repeated", func(t *testing.T) {
		t.Parallel()
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			o := once.New(bubble.Session(t, etcd), name, &once.Options{Retention: time.Minute})
			reject(etcd, "own")
			wantDo(t, o, func(ctx context.Context, run *once.Run) ([]byte, error) {
				err := run.Complete(ctx, []byte("first"), gateway.OpPut("own", nil))
				if !errors.Is(err, gateway.ErrPermissionDenied) {
					t.Errorf("Complete = %v", err)
				}
				return nil, run.Complete(ctx, []byte("second"), gateway.OpPut("other", nil))
			}, "second", 1)
			wantKeys(t, etcd, name+"//result")
		})
	})
}

// cutOff loses the answer to the Complete, and all requests after that until the end is called.
func cutOff(etcd *fakeetcd.Server, apply bool) (end func()) {
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if c.Path == "/lease/keepalive" || c.Path == "/lease/grant" || c.Path == "/kv/range" {
			return c.Apply()
		}
		if apply && c.IsTxn(name+"//result") {
			c.Apply()
		}
		return c.Silence()
	})
	return func() { etcd.Script(nil) }
}

// TestCompleteCutOff: the answer to Complete is missing until its context has ended. The result is
// the one of the first Complete, and others receive it.
func TestCompleteCutOff(t *testing.T) {
	t.Parallel()
	for _, apply := range []bool{true, false} {
		for _, then := range []string{"repeats", "returns nil", "returns an error"} {
			title := then
			if apply {
				title += " after it was applied"
			}
			t.Run(title, func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					o := once.New(bubble.Session(t, etcd), name, nil)
					other := once.New(bubble.Session(t, etcd), name, nil)
					cause := errors.New("gave up")
					var waiting, local <-chan outcome
					done := start(t.Context(), o, func(ctx context.Context, run *once.Run) ([]byte, error) {
						waiting = start(t.Context(), other, mustNotRun(t))
						local = start(t.Context(), o, mustNotRun(t))
						synctest.Wait()
						end := cutOff(etcd, apply)
						err := run.Complete(bubble.Within(t, time.Second), []byte("first"))
						if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("Complete = %v", err)
						}
						end()
						switch then {
						case "repeats":
							return nil, run.Complete(ctx, []byte("second"))
						case "returns nil":
							return []byte("second"), nil
						}
						return nil, cause
					})
					got := <-done
					if then != "returns an error" {
						want(t, got, "first", 1)
					} else if !errors.Is(got.err, cause) || !errors.Is(got.err, gateway.ErrUncertain) {
						t.Errorf("Do = %v", got.err)
					}
					want(t, <-waiting, "first", 1)
					want(t, <-local, "first", 1)
					wantDo(t, o, mustNotRun(t), "first", 1)
					wantKeys(t, etcd, name+"//result")
				})
			})
		}
	}
}

// TestCompleteCutOffAndKeyDeleted: another client deletes the hold's key before the result is
// committed. A repeated Complete must not report that it was.
func TestCompleteCutOffAndKeyDeleted(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		_, err := o.Do(t.Context(), func(ctx context.Context, run *once.Run) ([]byte, error) {
			end := cutOff(etcd, false)
			err := run.Complete(bubble.Within(t, time.Second), []byte("first"))
			if !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Complete = %v", err)
			}
			etcd.Delete(run.Key())
			end()
			if err := run.Complete(ctx, nil); !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("a repeated Complete = %v", err)
			}
			return nil, nil
		})
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Do = %v", err)
		}
		wantDo(t, once.New(bubble.Session(t, etcd), name, nil), returns("second"), "second", 2)
	})
}

// TestCompleteCutOffForLongerThanTheRetention: the result's lease expires before the session can
// commit the result. That must not keep the others out for as long as the session lives.
func TestCompleteCutOffForLongerThanTheRetention(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, &once.Options{Retention: 2 * time.Second})
		_, err := o.Do(t.Context(), func(context.Context, *once.Run) ([]byte, error) {
			end := cutOff(etcd, false)
			time.AfterFunc(5*time.Second, end)
			return []byte("first"), nil
		})
		_ = err // the first answer may be an error of the lease, or uncertain
		wantDo(t, once.New(bubble.Session(t, etcd), name, nil), returns("second"), "second", 2)
	})
}

// TestCompleteRejectedInTheBackground: the session cannot apply the operations of a Complete that
// was cut off. It gives the hold up, so that others can run.
func TestCompleteRejectedInTheBackground(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		_, err := o.Do(t.Context(), func(ctx context.Context, run *once.Run) ([]byte, error) {
			end := cutOff(etcd, false)
			err := run.Complete(bubble.Within(t, time.Second), nil,
				gateway.OpPut("own", nil, gateway.WithLease(0x1234)))
			if !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Complete = %v", err)
			}
			end()
			err = run.Complete(ctx, nil)
			if !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("a repeated Complete = %v", err)
			}
			return nil, err
		})
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Do = %v", err)
		}
		wantDo(t, o, returns("second"), "second", 2)
		wantDo(t, once.New(bubble.Session(t, etcd), name, nil), mustNotRun(t), "second", 2)
	})
}

// TestCallersNeedNotWaitForTheFunctionAfterComplete: a function that goes on after Complete delays
// no other call of its Once.
func TestCallersNeedNotWaitForTheFunctionAfterComplete(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		goOn := make(chan struct{})
		done := start(t.Context(), o, func(ctx context.Context, run *once.Run) ([]byte, error) {
			time.Sleep(time.Second)
			err := run.Complete(ctx, []byte("result"))
			<-goOn
			return nil, err
		})
		synctest.Wait()
		got := <-start(bubble.Within(t, time.Minute), o, mustNotRun(t))
		want(t, got, "result", 1)
		if got.Ran {
			t.Error("a call that did not run says that it did")
		}
		close(goOn)
		want(t, <-done, "result", 1)
	})
}

// TestResultOfAFunctionWhoseContextHasEnded: the work is done, so the result is committed.
func TestResultOfAFunctionWhoseContextHasEnded(t *testing.T) {
	t.Parallel()
	for _, retention := range []time.Duration{0, 10 * time.Minute} {
		t.Run(retention.String(), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				o := once.New(bubble.Session(t, etcd), name, &once.Options{Retention: retention})
				ctx, cancel := context.WithCancel(t.Context())
				res, err := o.Do(ctx, func(context.Context, *once.Run) ([]byte, error) {
					cancel()
					return []byte("result"), nil
				})
				want(t, outcome{res, err}, "result", 1)
			})
		})
	}
}
