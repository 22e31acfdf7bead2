package member_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
)

var errOwn = errors.New("an error of fn")

// TestRunCallsFnForEachSession: fn goes on while only the key is deleted, and runs again after a
// loss of the session.
func TestRunCallsFnForEachSession(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		runs := 0
		err := member.Run(t.Context(), etcd.Client(t), group, &member.Options{ID: "a"},
			func(ctx context.Context, s *session.Session, m *member.Membership) error {
				runs++
				kv, ok := etcd.Get(keyOf("a"))
				if !ok || kv.Lease != s.Lease() || m.State() != member.Joined {
					t.Errorf("run %d: key %+v, lease %v, %v", runs, kv, s.Lease(), m.State())
				}
				if runs == 3 {
					return errOwn
				}
				etcd.Delete(keyOf("a"))
				backWithin(t, etcd, "a", 200*time.Millisecond)
				if ctx.Err() != nil {
					t.Error("a deleted key has ended the context")
				}
				etcd.Revoke(s.Lease())
				<-ctx.Done()
				return nil2(runs == 1, context.Cause(ctx))
			})
		if !errors.Is(err, errOwn) || runs != 3 {
			t.Errorf("Run = %v after %d runs", err, runs)
		}
		if keys := etcd.Keys(group); len(keys) > 0 || etcd.Leases() > 0 {
			t.Errorf("%q and %d leases are left", keys, etcd.Leases())
		}
	})
}

// nil2 returns err or an error of fn.
func nil2(own bool, err error) error {
	if own {
		return errOwn
	}
	return err
}

func TestRunEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fn   func(ctx context.Context, cancel func(), etcd *fakeetcd.Server, m *member.Membership) error
		want error
	}{
		"nil": {func(context.Context, func(), *fakeetcd.Server, *member.Membership) error {
			return nil
		}, nil},
		"ctx": {func(ctx context.Context, cancel func(), _ *fakeetcd.Server, _ *member.Membership) error {
			cancel()
			<-ctx.Done()
			return context.Cause(ctx)
		}, context.Canceled},
		"left": {func(ctx context.Context, _ func(), _ *fakeetcd.Server, m *member.Membership) error {
			go m.Leave(context.WithoutCancel(ctx)) //nolint:errcheck // it waits for fn
			<-ctx.Done()
			return context.Cause(ctx)
		}, session.ErrReleased},
		"replaced": {
			func(ctx context.Context, _ func(), etcd *fakeetcd.Server, _ *member.Membership) error {
				etcd.Put(keyOf("a"), `{"token":"other","weight":1}`+"\n")
				<-ctx.Done()
				return nil
			}, member.ErrReplaced,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				runs := 0
				err := member.Run(ctx, etcd.Client(t), group, &member.Options{ID: "a"},
					func(ctx context.Context, _ *session.Session, m *member.Membership) error {
						runs++
						return tt.fn(ctx, cancel, etcd, m)
					})
				if !errors.Is(err, tt.want) || runs != 1 || tt.want == nil && err != nil {
					t.Errorf("Run = %v after %d runs", err, runs)
				}
				synctest.Wait()
				if n := etcd.Leases(); n != 0 {
					t.Errorf("%d leases are left", n)
				}
			})
		})
	}
}

// TestRunEndsWhatItBeganWhenFnDoesNotReturn: the member leaves if fn panics or ends its goroutine.
func TestRunEndsWhatItBeganWhenFnDoesNotReturn(t *testing.T) {
	t.Parallel()
	for how, unwind := range fakeetcd.Unwinding {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				fakeetcd.Unwound(func() {
					_ = member.Run(t.Context(), etcd.Client(t), group, nil,
						func(context.Context, *session.Session, *member.Membership) error {
							unwind()
							return nil
						})
				})
				synctest.Wait()
				if keys := etcd.Keys(group); len(keys) > 0 || etcd.Leases() > 0 {
					t.Errorf("%q and %d leases are left", keys, etcd.Leases())
				}
			})
		})
	}
}

// TestAMembershipEndsWithItsClient: a closed client never comes back.
func TestAMembershipEndsWithItsClient(t *testing.T) {
	t.Parallel()
	for _, update := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			c := etcd.Client(t)
			m, err := member.Join(context.Background(), c, group, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if update {
				ctx := bubble.Within(t, time.Second)
				err := m.Update(ctx, "other")
				if !errors.Is(err, session.ErrNotHeld) || !errors.Is(err, gateway.ErrClosed) {
					t.Errorf("Update = %v", err)
				}
			}
			select {
			case <-m.Context().Done():
			case <-time.After(session.DefaultTTL):
			}
			if err := m.Err(); !errors.Is(err, gateway.ErrClosed) {
				t.Errorf("Err = %v", err)
			}
			if err := m.Leave(t.Context()); !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("Leave = %v", err)
			}
		})
	}
}
