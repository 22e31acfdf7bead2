package once_test

import (
	"context"
	"errors"
	"fmt"
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

// TestSessionLostAtEachStep: the lease is revoked before each request of a run. The call returns
// the loss, at most one result is committed, and another session goes on.
func TestSessionLostAtEachStep(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 6; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				other := once.New(bubble.Session(t, etcd), name, nil)
				var calls atomic.Int32
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/lease/keepalive" {
						return c.Apply()
					}
					if int(calls.Add(1)) == n {
						etcd.Revoke(s.Lease())
						c.Sleep(time.Second) // so that the session notices
					}
					return c.Apply()
				})
				committed := false
				res, err := once.New(s, name, &once.Options{Retention: 30 * time.Minute}).Do(
					bubble.Within(t, 10*time.Minute), func(ctx context.Context, run *once.Run) ([]byte, error) {
						time.Sleep(time.Second)
						err := run.Complete(ctx, []byte("first"))
						committed = err == nil
						return nil, err
					})
				etcd.Script(nil)
				switch {
				case int(calls.Load()) < n: // no request was left
					want(t, outcome{res, err}, "first", 1)
				case !errors.Is(err, session.ErrLost) || n < 4 && errors.Is(err, context.Canceled):
					t.Errorf("Do = %q, %v", res.Value, err)
				}
				got := <-start(t.Context(), other, returns("second"))
				if committed != (string(got.Value) == "first") || got.err != nil {
					t.Errorf("committed: %v; the other has %q, %v", committed, got.Value, got.err)
				}
				time.Sleep(time.Second) // the server's
			})
		})
	}
}

// TestCtxEndsAtEachStep: the server is silent from each request of a run on, until the context has
// ended. The call returns in time, and another goes on with one result.
func TestCtxEndsAtEachStep(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 6; n++ {
		for _, apply := range []bool{true, false} {
			t.Run(fmt.Sprint(n, apply), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					o := once.New(bubble.Session(t, etcd), name, nil)
					var calls atomic.Int32
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.Path == "/lease/keepalive" {
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
					ctx := bubble.Within(t, 10*time.Second)
					res, err := o.Do(ctx, returns("first"))
					deadline, _ := ctx.Deadline()
					if late := time.Since(deadline); late > 1100*time.Millisecond {
						t.Errorf("returned %v after the end of its context", late)
					}
					if int(calls.Load()) < n {
						want(t, outcome{res, err}, "first", 1)
					} else if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Do = %q, %v", res.Value, err)
					}
					etcd.Script(nil)
					got := <-start(t.Context(), once.New(bubble.Session(t, etcd), name, nil), returns("second"))
					if got.err != nil || string(got.Value) == "first" && got.Ran {
						t.Errorf("%+v", got)
					}
					wantDo(t, o, mustNotRun(t), string(got.Value), got.Attempt)
					wantKeys(t, etcd, name+"//result")
				})
			})
		}
	}
}

// TestCtxEndsWhileWaiting: a caller that leaves the line leaves no key.
func TestCtxEndsWhileWaiting(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		done := start(t.Context(), o, func(context.Context, *once.Run) ([]byte, error) {
			time.Sleep(time.Minute)
			return []byte("result"), nil
		})
		synctest.Wait()
		ctx := bubble.Within(t, time.Second)
		local := start(ctx, o, mustNotRun(t))
		waiting := start(ctx, once.New(bubble.Session(t, etcd), name, nil), mustNotRun(t))
		for _, done := range []<-chan outcome{local, waiting} {
			if got := <-done; !errors.Is(got.err, context.DeadlineExceeded) {
				t.Errorf("Do = %v", got.err)
			}
		}
		time.Sleep(time.Second)
		if keys := etcd.Keys(name + "/"); len(keys) != 2 {
			t.Errorf("keys %q", keys)
		}
		want(t, <-done, "result", 1)
	})
}

// TestContextOfTheFunctionEndsWithTheHold: the context ends with the reason, another caller runs at
// once, also one of the same Once, and a late result is not committed.
func TestContextOfTheFunctionEndsWithTheHold(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), name, nil)
		stubborn := make(chan struct{})
		done := start(t.Context(), o, func(ctx context.Context, run *once.Run) ([]byte, error) {
			time.Sleep(2 * time.Second)
			etcd.Delete(run.Key())
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, session.ErrKeyDeleted) {
				t.Errorf("cause = %v", cause)
			}
			<-stubborn
			err := run.Complete(context.Background(), []byte("first"))
			if !errors.Is(err, session.ErrNotHeld) || errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Complete = %v", err)
			}
			return []byte("first"), nil
		})
		synctest.Wait()
		want(t, <-start(bubble.Within(t, time.Minute), o, returns("second")), "second", 2)
		close(stubborn)
		if got := <-done; !errors.Is(got.err, session.ErrKeyDeleted) || got.Value != nil {
			t.Errorf("Do = %+v", got)
		}
		wantDo(t, o, mustNotRun(t), "second", 2)
	})
}

// TestSessionLostAfterARejectedComplete: the function learns of the loss although its hold has
// ended already.
func TestSessionLostAfterARejectedComplete(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		reject(etcd, "own")
		_, err := once.New(s, name, nil).Do(t.Context(),
			func(ctx context.Context, run *once.Run) ([]byte, error) {
				err := run.Complete(ctx, nil, gateway.OpPut("own", nil))
				etcd.Revoke(s.Lease())
				<-ctx.Done()
				return nil, err
			})
		if !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("Do = %v", err)
		}
		wantDo(t, once.New(bubble.Session(t, etcd), name, nil), returns("second"), "second", 2)
	})
}

// TestDatabaseFull: nothing runs while etcd rejects writes. A run that cannot commit its result
// returns the reason and gives its place up.
func TestDatabaseFull(t *testing.T) {
	t.Parallel()
	for _, opts := range []*once.Options{nil, {MaxAttempts: 1}, {Retention: time.Minute}} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			o := once.New(bubble.Session(t, etcd), name, opts)
			etcd.Fill(true)
			if _, err := o.Do(t.Context(), mustNotRun(t)); !errors.Is(err, gateway.ErrNoSpace) {
				t.Errorf("Do = %v", err)
			}
			etcd.Fill(false)
			waiting := once.New(bubble.Session(t, etcd), name, opts)
			var other <-chan outcome
			_, err := o.Do(t.Context(), func(context.Context, *once.Run) ([]byte, error) {
				other = start(t.Context(), waiting, mustNotRun(t))
				synctest.Wait()
				etcd.Fill(true)
				return []byte("first"), nil
			})
			if !errors.Is(err, gateway.ErrNoSpace) {
				t.Errorf("Do = %v", err)
			}
			if got := <-other; !errors.Is(got.err, gateway.ErrNoSpace) {
				t.Errorf("the next: %v", got.err)
			}
			etcd.Fill(false)
			time.Sleep(time.Second)
			wantKeys(t, etcd, name+"//attempts")
			if opts == nil {
				wantDo(t, o, returns("second"), "second", 2)
			}
		})
	}
}
