package mutex_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestRun: Run acquires the lock again after each loss, and else returns the result of fn.
func TestRun(t *testing.T) {
	t.Parallel()
	type run func(_ context.Context, _ *fakeetcd.Server, cancel func(), call int, _ *mutex.Lock) error
	for _, tt := range []struct {
		name  string
		fn    run
		want  error
		calls int
	}{
		{"nil", func(context.Context, *fakeetcd.Server, func(), int, *mutex.Lock) error {
			return nil
		}, nil, 1},
		{"error", func(context.Context, *fakeetcd.Server, func(), int, *mutex.Lock) error {
			return errOwn
		}, errOwn, 1},
		{
			"unlocked by fn",
			func(ctx context.Context, _ *fakeetcd.Server, _ func(), _ int, lock *mutex.Lock) error {
				return errors.Join(lock.Unlock(ctx), ctx.Err())
			}, nil, 1,
		},
		{
			"ctx ends",
			func(ctx context.Context, _ *fakeetcd.Server, cancel func(), _ int, _ *mutex.Lock) error {
				cancel()
				<-ctx.Done()
				return ctx.Err()
			}, context.Canceled, 1,
		},
		{
			"session lost",
			func(ctx context.Context, etcd *fakeetcd.Server, _ func(), call int, lock *mutex.Lock) error {
				if call == 3 {
					return errOwn
				}
				etcd.Revoke(leaseOf(t, lock))
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), session.ErrRevoked) {
					t.Errorf("cause: %v", context.Cause(ctx))
				}
				return nil
			}, errOwn, 3,
		},
		{
			"broken",
			func(ctx context.Context, etcd *fakeetcd.Server, _ func(), call int, lock *mutex.Lock) error {
				if call == 3 {
					return errOwn
				}
				time.Sleep(2 * time.Second) // then the key is watched
				etcd.Delete(lock.Key())
				<-ctx.Done()
				return errors.New("the error of a lost lock")
			}, errOwn, 3,
		},
		{
			"broken, not noticed",
			func(_ context.Context, etcd *fakeetcd.Server, _ func(), call int, lock *mutex.Lock) error {
				if call == 1 {
					etcd.Delete(lock.Key())
				}
				return nil
			}, nil, 2,
		},
		{"another lock's loss", func(context.Context, *fakeetcd.Server, func(), int, *mutex.Lock) error {
			return errors.Join(session.ErrLost, session.ErrKeyDeleted)
		}, session.ErrKeyDeleted, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				calls, fence := 0, int64(0)
				err := mutex.Run(ctx, etcd.Client(t), nil, "a",
					func(ctx context.Context, lock *mutex.Lock) error {
						if err := lock.Err(); err != nil || lock.Fence() <= fence {
							t.Errorf("call %d: %v, fence %d after %d", calls, err, lock.Fence(), fence)
						}
						fence = lock.Fence()
						calls++
						return tt.fn(ctx, etcd, cancel, calls, lock)
					})
				if !errors.Is(err, tt.want) || tt.want == nil && err != nil || calls != tt.calls {
					t.Errorf("Run = %v after %d calls", err, calls)
				}
				if left := etcd.Keys("a/"); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
			})
		})
	}
}

// TestRunMethods: the methods Run keep their session. They run fn again after another client has
// deleted the key, and return when the session is lost.
func TestRunMethods(t *testing.T) {
	t.Parallel()
	type function func(ctx context.Context, lock *mutex.Lock) error
	for name, run := range map[string]func(ctx context.Context, s *session.Session, fn function) error{
		"Mutex.Run": func(ctx context.Context, s *session.Session, fn function) error {
			return mutex.New(s, "a", nil).Run(ctx, fn)
		},
		"RWMutex.Run": func(ctx context.Context, s *session.Session, fn function) error {
			return mutex.NewRWMutex(s, "a", nil).Run(ctx, fn)
		},
		"RWMutex.RRun": func(ctx context.Context, s *session.Session, fn function) error {
			return mutex.NewRWMutex(s, "a", nil).RRun(ctx, fn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s, calls := bubble.Session(t, etcd), 0
				err := run(t.Context(), s, func(ctx context.Context, lock *mutex.Lock) error {
					kv, _ := etcd.Get(lock.Key())
					if shared := string(kv.Value) == "shared"; shared != (name == "RWMutex.RRun") {
						t.Errorf("shared: %v", shared)
					}
					if calls++; calls == 1 {
						etcd.Delete(lock.Key())
						return nil
					}
					etcd.Revoke(s.Lease())
					<-ctx.Done()
					return nil
				})
				if !errors.Is(err, session.ErrRevoked) || calls != 2 {
					t.Errorf("= %v after %d calls", err, calls)
				}
			})
		})
	}
}

// leaseOf returns the lease in the name of the lock's key.
func leaseOf(t *testing.T, lock *mutex.Lock) gateway.LeaseID {
	t.Helper()
	lease, err := gateway.ParseLeaseID(lock.Key()[len("a/"):])
	if err != nil {
		t.Fatal(err)
	}
	return lease
}
