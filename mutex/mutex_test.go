package mutex_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func TestABadNameIsRejected(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		rev := etcd.Revision()
		for _, name := range []string{
			"", "holdfast/sessions", "holdfast/sessions/x",
			"holdfast/delay", "holdfast/delay/x",
		} {
			m := mutex.New(s, name, nil)
			for verb, call := range map[string]func() error{
				"lock":     func() error { _, err := m.Lock(t.Context()); return err },
				"try lock": func() error { _, err := m.TryLock(t.Context()); return err },
				"do": func() error {
					return m.Do(t.Context(), func(context.Context, *mutex.Lock) error {
						t.Error("called")
						return nil
					})
				},
			} {
				if err := call(); !errors.Is(err, gateway.ErrInvalid) ||
					!strings.HasPrefix(err.Error(), "mutex: ") {
					t.Errorf("%s %q = %v", verb, name, err)
				}
			}
		}
		if etcd.Revision() != rev {
			t.Error("something was written")
		}
	})
}

func TestErrLockedNamesTheHolder(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		lock, err := mutex.New(s, "jobs/a", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = mutex.New(other, "jobs/a", nil).TryLock(t.Context())
		locked, ok := errors.AsType[*mutex.LockedError](err)
		if !ok || !errors.Is(err, mutex.ErrLocked) {
			t.Fatalf("TryLock = %v", err)
		}
		if *locked != (mutex.LockedError{
			Name: "jobs/a", Key: lock.Key(), Lease: s.Lease(),
			Fence: lock.Fence(),
		}) {
			t.Errorf("%+v", *locked)
		}
		if want := `mutex: lock "jobs/a": locked by jobs/a/` +
			s.Lease().String(); err.Error() != want {
			t.Errorf("error = %v", err)
		}
		members, err := mutex.New(other, "jobs/a", nil).Inspect(t.Context())
		if err != nil || len(members) != 1 || !members[0].Holder || members[0].Session == nil ||
			members[0].Session.Name != "me" {
			t.Errorf("Inspect = %+v, %v", members, err)
		}
		if err := lock.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		err = lock.Unlock(t.Context())
		if !errors.Is(err, session.ErrNotHeld) ||
			err.Error() != `mutex: unlock "jobs/a": not held` {
			t.Errorf("second Unlock = %v", err)
		}
	})
}

func TestALockNamesTheReasonOfItsEnd(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		m := mutex.New(s, "a", nil)
		if _, err := mutex.New(other, "a", nil).Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := m.Lock(bubble.Within(t, time.Second))
		if !errors.Is(err, context.DeadlineExceeded) ||
			!strings.HasPrefix(err.Error(), `mutex: lock "a": `) {
			t.Errorf("Lock = %v", err)
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stop) })
		if _, err := m.Lock(ctx); !errors.Is(err, stop) || !errors.Is(err, context.Canceled) {
			t.Errorf("Lock = %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for verb, call := range map[string]func(context.Context) (*mutex.Lock,
			error){"lock": m.Lock, "try lock": m.TryLock} {
			_, err := call(t.Context())
			if !errors.Is(err, session.ErrClosed) ||
				err.Error() != `mutex: `+verb+` "a": session: lost: session closed` {
				t.Errorf("%s after Close = %v", verb, err)
			}
		}
	})
}

// TestSessionsExcludeEachOtherWhileAnswersAreLost: goroutines of two sessions hold a lock one at a
// time, while answers are lost.
func TestSessionsExcludeEachOtherWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		sessions := []*session.Session{bubble.Session(t, etcd), bubble.Session(t, etcd)}
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case c.Path == "/kv/txn" && c.N%11 == 3:
				c.Apply()
				return fakeetcd.Lost
			case c.Path == "/kv/txn" && c.N%13 == 5:
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		inside := make(chan struct{}, 1)
		errs := make(chan error)
		const goroutines, rounds = 8, 5
		for i := range goroutines {
			go func() {
				m := mutex.New(sessions[i%2], "a", nil)
				for range rounds {
					errs <- m.Do(t.Context(), func(context.Context, *mutex.Lock) error {
						select {
						case inside <- struct{}{}:
						default:
							return errors.New("two holders")
						}
						time.Sleep(time.Millisecond)
						<-inside
						return nil
					})
				}
			}()
		}
		for range goroutines * rounds {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

func TestALockWaitsForTheLockDelay(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s, other := bubble.Session(t, etcd), bubble.Session(t, etcd)
		if _, err := mutex.New(s, "a",
			&mutex.Options{LockDelay: time.Minute}).Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		etcd.Revoke(s.Lease())
		start := time.Now()
		lock, err := mutex.New(other, "a",
			&mutex.Options{LockDelay: time.Minute}).TryLock(t.Context())
		if err != nil || time.Since(start) != time.Minute {
			t.Fatalf("TryLock = %v after %v", err, time.Since(start))
		}
		if err := lock.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}
