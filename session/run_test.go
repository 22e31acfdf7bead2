package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

var errOwn = errors.New("an error of fn")

func TestRunCallsFnAgainAfterALoss(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var leases []gateway.LeaseID
		fn := func(ctx context.Context, s *session.Session) error {
			leases = append(leases, s.Lease())
			if len(leases) == 3 {
				return nil
			}
			etcd.Delete(session.DefaultRecordPrefix + s.Lease().String())
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), session.ErrRevoked) {
				t.Errorf("cause = %v", context.Cause(ctx))
			}
			time.Sleep(time.Minute) // Run waits for it
			return errOwn
		}
		err := session.Run(t.Context(), etcd.Client(t), nil, fn)
		if err != nil || len(leases) != 3 || leases[0] == leases[1] {
			t.Errorf("Run = %v, leases %v", err, leases)
		}
		if n := etcd.Leases(); n != 0 {
			t.Errorf("%d leases are left", n)
		}
	})
}

func TestRunReturnsTheResultOfFn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fn   func(context.Context, func(), *fakeetcd.Server, *session.Session) error
		want error
	}{
		{
			"nil",
			func(context.Context, func(), *fakeetcd.Server, *session.Session) error { return nil },
			nil,
		},
		{
			"nil after a loss",
			func(ctx context.Context, _ func(), etcd *fakeetcd.Server, s *session.Session) error {
				etcd.Revoke(s.Lease())
				<-ctx.Done()
				return nil
			},
			nil,
		},
		{
			"error with a live session",
			func(context.Context, func(), *fakeetcd.Server, *session.Session) error {
				return errOwn
			},
			errOwn,
		},
		{
			"end of ctx",
			func(ctx context.Context, cancel func(), _ *fakeetcd.Server, _ *session.Session) error {
				cancel()
				<-ctx.Done()
				return errors.Join(errOwn, ctx.Err())
			},
			context.Canceled,
		},
		{
			"closed by fn",
			func(ctx context.Context, _ func(), _ *fakeetcd.Server, s *session.Session) error {
				_ = s.Close(ctx)
				return errOwn
			},
			errOwn,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				runs := 0
				fn := func(ctx context.Context, s *session.Session) error {
					runs++
					return tt.fn(ctx, cancel, etcd, s)
				}
				err := session.Run(ctx, etcd.Client(t), nil, fn)
				if !errors.Is(err, tt.want) || runs != 1 || etcd.Leases() != 0 {
					t.Errorf("Run = %v after %d runs, %d leases left", err, runs, etcd.Leases())
				}
			})
		})
	}
}

// TestRunEndsWhatItBeganWhenFnDoesNotReturn: if fn does not return, Run closes the session.
func TestRunEndsWhatItBeganWhenFnDoesNotReturn(t *testing.T) {
	t.Parallel()
	for how, unwind := range fakeetcd.Unwinding {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				ctx, cancel := context.WithCancel(t.Context())
				fakeetcd.Unwound(func() {
					_ = session.Run(ctx, etcd.Client(t), nil,
						func(context.Context, *session.Session) error {
							cancel()
							unwind()
							return nil
						})
				})
				if n := etcd.Leases(); n != 0 {
					t.Errorf("%d leases are left", n)
				}
			})
		})
	}
}

func TestRunReturnsADefiniteError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts *session.Options
		want error
	}{
		{"denied", nil, gateway.ErrPermissionDenied},
		{"invalid", &session.Options{TTL: -1}, gateway.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/kv/txn" {
						return fakeetcd.Denied()
					}
					return c.Apply()
				})
				fn := func(context.Context, *session.Session) error {
					t.Error("called")
					return nil
				}
				err := session.Run(t.Context(), etcd.Client(t), tt.opts, fn)
				if !errors.Is(err, tt.want) {
					t.Errorf("Run = %v", err)
				}
			})
		})
	}
}

// TestRunTriesUntilEtcdAnswers tries again until ctx ends or etcd answers.
func TestRunTriesUntilEtcdAnswers(t *testing.T) {
	t.Parallel()
	for _, comes := range []bool{false, true} {
		t.Run(map[bool]string{false: "never", true: "late"}[comes], func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				etcd.Freeze()
				if comes {
					time.AfterFunc(20*time.Second, etcd.Thaw)
				}
				start := time.Now()
				fn := func(context.Context, *session.Session) error { return nil }
				err := session.Run(bubble.Within(t, time.Minute), etcd.Client(t), nil, fn)
				if comes != (err == nil) || !comes && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run = %v", err)
				}
				if took := time.Since(start); !comes && took > time.Minute+100*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestRunOutlivesASlowNew: New takes longer than the time to live, and succeeds later.
func TestRunOutlivesASlowNew(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		start := time.Now()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" && time.Since(start) < 10*time.Second {
				c.Apply()
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		runs := 0
		fn := func(context.Context, *session.Session) error {
			runs++
			return nil
		}
		err := session.Run(bubble.Within(t, time.Minute), etcd.Client(t), short(2*time.Second), fn)
		if err != nil || runs != 1 {
			t.Errorf("Run = %v after %d runs", err, runs)
		}
		synctest.Wait()
	})
}

// TestRunTriesUntilTheDatabaseHasRoom tries again until the database has room.
func TestRunTriesUntilTheDatabaseHasRoom(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/lease/grant", "/kv/txn"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				full := time.Now().Add(time.Minute)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == path && time.Now().Before(full) {
						return fakeetcd.Error(
							gateway.CodeResourceExhausted,
							"etcdserver: mvcc: database space exceeded")
					}
					return c.Apply()
				})
				fn := func(context.Context, *session.Session) error { return nil }
				err := session.Run(t.Context(), etcd.Client(t), nil, fn)
				if err != nil || time.Now().Before(full) {
					t.Error(err)
				}
				if n := etcd.Leases(); n != 0 {
					t.Errorf("%d leases left", n)
				}
			})
		})
	}
}
