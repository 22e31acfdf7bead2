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

var errOwn = errors.New("an error of fn")

func TestTheResultOfDoDependsOnTheEndOfTheLock(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fn   func(ctx context.Context, etcd *fakeetcd.Server, s *session.Session,
			lock *mutex.Lock) error
		want []error // all of them
	}{
		{"nil", func(context.Context, *fakeetcd.Server, *session.Session, *mutex.Lock) error {
			return nil
		}, nil},
		{"error", func(context.Context, *fakeetcd.Server, *session.Session, *mutex.Lock) error {
			return errOwn
		}, []error{errOwn}},
		{"unlocked by fn", func(ctx context.Context, _ *fakeetcd.Server, _ *session.Session,
			lock *mutex.Lock,
		) error {
			return lock.Unlock(ctx)
		}, nil},
		{"unlocked by fn twice", func(ctx context.Context, _ *fakeetcd.Server, _ *session.Session,
			lock *mutex.Lock,
		) error {
			_ = lock.Unlock(ctx)
			return lock.Unlock(ctx)
		}, []error{session.ErrNotHeld}},
		{"session lost", func(ctx context.Context, etcd *fakeetcd.Server, s *session.Session,
			_ *mutex.Lock,
		) error {
			etcd.Revoke(s.Lease())
			<-ctx.Done()
			return errors.Join(errOwn, context.Cause(ctx))
		}, []error{errOwn, session.ErrLost, session.ErrRevoked, session.ErrNotHeld}},
		{"loss not minded", func(ctx context.Context, etcd *fakeetcd.Server, s *session.Session,
			_ *mutex.Lock,
		) error {
			etcd.Revoke(s.Lease())
			<-ctx.Done()
			return nil
		}, []error{session.ErrLost}},
		{"key removed", func(ctx context.Context, etcd *fakeetcd.Server, _ *session.Session,
			lock *mutex.Lock,
		) error {
			time.Sleep(2 * time.Second)
			etcd.Delete(lock.Key())
			<-ctx.Done()
			return nil
		}, []error{session.ErrLost, session.ErrKeyDeleted}},
		{"key removed, not noticed", func(_ context.Context, etcd *fakeetcd.Server,
			_ *session.Session, lock *mutex.Lock,
		) error {
			etcd.Delete(lock.Key())
			return nil
		}, []error{session.ErrLost, session.ErrKeyDeleted}},
		{"unlock refused", func(_ context.Context, etcd *fakeetcd.Server, _ *session.Session,
			_ *mutex.Lock,
		) error {
			etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
			return errOwn
		}, []error{errOwn, gateway.ErrPermissionDenied}},
		{"server silent", func(_ context.Context, etcd *fakeetcd.Server, _ *session.Session,
			_ *mutex.Lock,
		) error {
			etcd.Freeze()
			return errOwn
		}, []error{errOwn, gateway.ErrUncertain, context.DeadlineExceeded}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				err := mutex.New(s, "a", nil).Do(t.Context(),
					func(ctx context.Context, lock *mutex.Lock) error {
						if err := lock.Err(); err != nil {
							t.Error(err)
						}
						return tt.fn(ctx, etcd, s, lock)
					})
				if err != nil && tt.want == nil {
					t.Errorf("Do = %v", err)
				}
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("Do = %v, without %v", err, want)
					}
				}
			})
		})
	}
}

// TestDoReleasesTheLockAfterItsContext: Do releases the lock although ctx has ended.
func TestDoReleasesTheLockAfterItsContext(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		ctx, cancel := context.WithCancel(t.Context())
		err := mutex.New(s, "a", nil).Do(ctx, func(ctx context.Context, _ *mutex.Lock) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, gateway.ErrUncertain) ||
			len(etcd.Keys("a/")) != 0 {
			t.Errorf("Do = %v, left: %v", err, etcd.Keys("a/"))
		}
	})
}

// TestDoReleasesWhenFnDoesNotReturn: Do releases the lock also when fn does not return.
func TestDoReleasesWhenFnDoesNotReturn(t *testing.T) {
	t.Parallel()
	for how, unwind := range fakeetcd.Unwinding {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				value, _ := fakeetcd.Unwound(func() {
					_ = mutex.New(s, "a", nil).Do(t.Context(),
						func(context.Context, *mutex.Lock) error {
							unwind()
							return nil
						})
				})
				if how == "panic" && value != "oh" {
					t.Errorf("recovered %v", value)
				}
				if keys := etcd.Keys("a/"); len(keys) != 0 {
					t.Errorf("left: %v", keys)
				}
			})
		})
	}
}

// TestAHookThatUnwindsLeavesNoKey: a call that does not return its hold, because a hook panics or
// ends the goroutine, leaves no key.
func TestAHookThatUnwindsLeavesNoKey(t *testing.T) {
	t.Parallel()
	for how, unwind := range fakeetcd.Unwinding {
		for verb, lock := range map[string]func(ctx context.Context, s *session.Session) error{
			"Lock": func(ctx context.Context, s *session.Session) error {
				_, err := mutex.New(s, "a", nil).Lock(ctx)
				return err
			},
			"TryLock": func(ctx context.Context, s *session.Session) error {
				_, err := mutex.New(s, "a", nil).TryLock(ctx)
				return err
			},
			"RLock": func(ctx context.Context, s *session.Session) error {
				_, err := mutex.NewRWMutex(s, "a", nil).RLock(ctx)
				return err
			},
			"LockAll": func(ctx context.Context, s *session.Session) error {
				_, err := mutex.LockAll(ctx, s, "a", "b", "c")
				return err
			},
		} {
			t.Run(how+" in "+verb, func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					calls := 0
					opts := &session.Options{Hooks: session.Hooks{Acquired: func(context.Context,
						session.HoldInfo, time.Duration,
					) {
						if calls++; calls == 2 || verb != "LockAll" {
							unwind()
						}
					}}}
					s, err := session.New(t.Context(), etcd.Client(t), opts)
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = s.Close(t.Context()) }()
					fakeetcd.Unwound(func() { _ = lock(t.Context(), s) })
					synctest.Wait()
					for _, name := range []string{"a/", "b/", "c/"} {
						if keys := etcd.Keys(name); len(keys) != 0 {
							t.Errorf("left: %v", keys)
						}
					}
				})
			})
		}
	}
}

// TestTheLockIsReleasedAfterARefusedUnlock: Do and Locker, whose callers cannot repeat Unlock,
// release the lock after etcd rejected the first try.
func TestTheLockIsReleasedAfterARefusedUnlock(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(ctx context.Context, m *mutex.Mutex, fn func()) error{
		"Do": func(ctx context.Context, m *mutex.Mutex, fn func()) error {
			return m.Do(ctx, func(context.Context, *mutex.Lock) error {
				fn()
				return nil
			})
		},
		"Locker": func(ctx context.Context, m *mutex.Mutex, fn func()) (failed error) {
			l := m.Locker(ctx, func(err error) { failed = err })
			l.Lock()
			fn()
			l.Unlock()
			return failed
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
				err := use(t.Context(), mutex.New(s, "a", nil), func() {
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.N == 1 {
							return fakeetcd.Denied()
						}
						return c.Apply()
					})
				})
				if !errors.Is(err, gateway.ErrPermissionDenied) {
					t.Error(err)
				}
				if _, err := mutex.New(other, "a",
					nil).Lock(bubble.Within(t, time.Minute)); err != nil {
					t.Errorf("a minute later: %v", err)
				}
			})
		})
	}
}

// TestReadersRunTogetherAndWritersAlone: readers run together, a writer alone.
func TestReadersRunTogetherAndWritersAlone(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		a, b := mutex.NewRWMutex(bubble.Session(t, etcd), "a", nil),
			mutex.NewRWMutex(bubble.Session(t, etcd), "a", nil)
		err := a.RDo(t.Context(), func(ctx context.Context, _ *mutex.Lock) error {
			err := b.RDo(ctx, func(context.Context, *mutex.Lock) error { return nil })
			if err != nil {
				return err
			}
			waiting, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			err = b.Do(waiting, func(context.Context, *mutex.Lock) error { return errOwn })
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errOwn) {
				t.Errorf("a writer beside a reader: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := b.Do(t.Context(), func(context.Context, *mutex.Lock) error {
			return errOwn
		}); !errors.Is(err, errOwn) {
			t.Error(err)
		}
		if left := etcd.Keys("a/"); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestRWMutexTakesNoLockDelay: its first verb says so.
func TestRWMutexTakesNoLockDelay(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		rw := mutex.NewRWMutex(bubble.Session(t, etcd), "a",
			&mutex.Options{LockDelay: time.Second})
		if _, err := rw.RLock(t.Context()); !errors.Is(err, gateway.ErrInvalid) {
			t.Error(err)
		}
	})
}
