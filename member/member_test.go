package member_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
)

func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		a := join(t, c, member.Options{ID: "a", Value: "10.0.0.7", Weight: 3, Zone: "z"})
		b := join(t, c, member.Options{})
		v := wantIDs(t, c, min(a.ID(), b.ID()), max(a.ID(), b.ID()))
		for _, m := range v.Members {
			kv, ok := etcd.Get(keyOf(m.ID))
			if !ok || m.Fence != kv.CreateRevision || m.Lease != kv.Lease {
				t.Errorf("%+v, key %+v", m, kv)
			}
			switch {
			case m.ID == "a" && (m.Value != "10.0.0.7" || m.Weight != 3 || m.Zone != "z"):
				t.Errorf("a is %+v", m)
			case m.ID != "a" && (m.Value != "" || m.Weight != 1 || m.Zone != "" || m.ID != b.ID()):
				t.Errorf("b is %+v", m)
			}
		}
		ctx := bubble.Within(t, time.Minute)
		if err := b.Leave(ctx); err != nil {
			t.Error(err)
		}
		wantIDs(t, c, "a")
		if err := b.Leave(ctx); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("the second Leave = %v", err)
		}
		if err := b.Update(ctx, "x"); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Update after Leave = %v", err)
		}
		if err := b.Err(); !errors.Is(err, session.ErrReleased) || b.State() != member.Away {
			t.Errorf("the member is %v, %v", b.State(), err)
		}
		if n := etcd.Leases(); n != 1 {
			t.Errorf("%d leases are left", n)
		}
	})
}

func TestMemberLeavesWhenCtxEnds(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		m, err := member.Join(ctx, etcd.Client(t), group, nil)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		if keys := etcd.Keys(group); len(keys) > 0 || etcd.Leases() > 0 {
			t.Errorf("keys %q, %d leases", keys, etcd.Leases())
		}
		if err := m.Leave(t.Context()); !errors.Is(err, session.ErrNotHeld) ||
			!errors.Is(m.Err(), context.Canceled) {
			t.Errorf("Leave = %v, the member has ended with %v", err, m.Err())
		}
	})
}

func TestLeaveWithinItsContext(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := join(t, etcd.Client(t), member.Options{ID: "a"})
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
		began := time.Now()
		err := m.Leave(bubble.Within(t, 100*time.Millisecond))
		if !errors.Is(err, gateway.ErrUncertain) || time.Since(began) > 200*time.Millisecond {
			t.Errorf("Leave = %v after %v", err, time.Since(began))
		}
		if err := m.Leave(bubble.Within(t, time.Minute)); err == nil {
			t.Error("a Leave that etcd did not answer = nil")
		}
		etcd.Script(nil)
		time.Sleep(16 * time.Second)
		if keys := etcd.Keys(group); len(keys) > 0 {
			t.Errorf("%q are left", keys)
		}
	})
}

func TestJoinWithAnIDThatIsTaken(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		opts := member.Options{ID: "a", Session: &session.Options{Name: "the first"}}
		first := join(t, etcd.Client(t), opts)
		_, err := member.Join(t.Context(), etcd.Client(t), group, &member.Options{ID: "a"})
		taken, ok := errors.AsType[*member.TakenError](err)
		if !ok || !errors.Is(err, member.ErrTaken) || taken.Other.ID != "a" ||
			!strings.Contains(err.Error(), "the first") {
			t.Errorf("Join = %v", err)
		}
		time.Sleep(time.Minute)
		wantState(t, first, member.Joined)
		if n := etcd.Leases(); n != 1 {
			t.Errorf("%d leases", n)
		}
	})
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		var all []*member.Membership
		for i := range 3 {
			all = append(all, join(t, etcd.Client(t), member.Options{
				ID: "a", Value: fmt.Sprint(i), TakeOver: true,
			}))
			synctest.Wait()
		}
		for i, m := range all[:2] {
			if err := m.Err(); !errors.Is(err, member.ErrReplaced) || m.State() != member.Away {
				t.Errorf("member %d is %v, %v", i, m.State(), err)
			}
		}
		time.Sleep(time.Minute)
		wantState(t, all[2], member.Joined)
		if v := wantIDs(t, c, "a"); v.Members[0].Value != "2" {
			t.Errorf("%+v", v.Members)
		}
		etcd.Delete(keyOf("a")) // the others are gone for good
		backWithin(t, etcd, "a", 200*time.Millisecond)
		if n := etcd.Leases(); n != 1 {
			t.Errorf("%d leases", n)
		}
	})
}

// TestReplacedDuringAnOutage: a member that was cut off does not fight with its replacement.
func TestReplacedDuringAnOutage(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		cut := false
		old := join(t, etcd.Client(t), member.Options{ID: "a"})
		lease := wantIDs(t, etcd.Client(t), "a").Members[0].Lease.String()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if cut && strings.Contains(string(c.Body), lease) {
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		cut = true
		next := join(t, etcd.Client(t), member.Options{ID: "a", TakeOver: true})
		etcd.Script(nil)
		time.Sleep(time.Minute)
		wantState(t, next, member.Joined)
		if err := old.Err(); !errors.Is(err, member.ErrReplaced) {
			t.Errorf("the old member has ended with %v", err)
		}
	})
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		m := join(t, c, member.Options{ID: "a", Value: "1", Weight: 2})
		ctx := bubble.Within(t, time.Hour)
		if err := errors.Join(m.Update(ctx, "2"), m.SetWeight(ctx, 0)); err != nil {
			t.Error(err)
		}
		v := wantIDs(t, c, "a")
		if got := v.Members[0]; got.Value != "2" || got.Weight != 0 {
			t.Errorf("%+v", got)
		}
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if err := m.Update(ctx, fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := wantIDs(t, c, "a").Members[0]; got.Fence != v.Members[0].Fence {
			t.Errorf("%+v", got)
		}
		for _, err := range []error{
			m.Update(ctx, strings.Repeat("x", member.MaxValue+1)), m.SetWeight(ctx, -1),
		} {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Error(err)
			}
		}
	})
}

// TestUpdateWhileAway: the value of an Update that was cut off is the value of the return.
func TestUpdateWhileAway(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		m := join(t, c, member.Options{ID: "a", Value: "1"})
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Lost })
		time.Sleep(time.Minute)
		if err := m.Update(bubble.Within(t, time.Second), "2"); !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Update = %v", err)
		}
		last := make(chan error, 1)
		go func() { last <- m.Update(t.Context(), "3") }()
		synctest.Wait()
		etcd.Script(nil)
		if err := <-last; err != nil {
			t.Error(err)
		}
		if v := wantIDs(t, c, "a"); v.Members[0].Value != "3" {
			t.Errorf("%+v", v.Members)
		}
	})
}

func TestStates(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var mu sync.Mutex
		var seen []string
		m := join(t, etcd.Client(t), member.Options{
			ID: "a", Session: &session.Options{Hooks: session.Hooks{Suspect: func() {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, "own hook")
			}}},
			OnState: func(s member.State, err error) {
				mu.Lock()
				defer mu.Unlock()
				if (err != nil) != (s == member.Away) {
					t.Errorf("%v with %v", s, err)
				}
				seen = append(seen, s.String())
			},
		})
		lost := func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Lost }
		etcd.Script(lost)
		time.Sleep(12 * time.Second)
		wantState(t, m, member.Suspect)
		etcd.Script(nil)
		time.Sleep(10 * time.Second)
		wantState(t, m, member.Joined)
		etcd.Script(lost)
		time.Sleep(20 * time.Second)
		wantState(t, m, member.Away)
		etcd.Script(nil)
		time.Sleep(10 * time.Second)
		leave(t, m)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		const want = "joined suspect own hook joined suspect own hook away joined away"
		got := strings.Join(seen, " ") // the two hooks run in goroutines of their own
		if strings.ReplaceAll(got, "own hook suspect", "suspect own hook") != want {
			t.Errorf("states %q, want %q", got, want)
		}
	})
}

// TestBlockedHookDelaysNothing: the member heals while a hook blocks.
func TestBlockedHookDelaysNothing(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		release := make(chan struct{})
		defer close(release)
		m := join(t, etcd.Client(t), member.Options{
			ID: "a", OnState: func(member.State, error) { <-release },
		})
		etcd.Delete(keyOf("a"))
		backWithin(t, etcd, "a", 200*time.Millisecond)
		wantState(t, m, member.Joined)
	})
}

func TestInvalidArguments(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		requests := bubble.Count(etcd)
		long := strings.Repeat("x", member.MaxValue+1)
		for name, err := range map[string]error{
			"no client":     joinErr(t, nil, group, nil),
			"no group":      joinErr(t, c, "", nil),
			"slash":         joinErr(t, c, "a/", nil),
			"slashes":       joinErr(t, c, "a//b", nil),
			"long ID":       joinErr(t, c, group, &member.Options{ID: long}),
			"odd ID":        joinErr(t, c, group, &member.Options{ID: "\xff"}),
			"long zone":     joinErr(t, c, group, &member.Options{Zone: long}),
			"long value":    joinErr(t, c, group, &member.Options{Value: long}),
			"weight":        joinErr(t, c, group, &member.Options{Weight: -1}),
			"short TTL":     joinErr(t, c, group, &member.Options{Session: &session.Options{TTL: 1}}),
			"members":       second(member.Members(t.Context(), c, "")),
			"members of no": second(member.Members(t.Context(), nil, group)),
			"observe":       observeErr(t.Context(), c, ""),
		} {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := requests.Load(); n > 0 {
			t.Errorf("%d requests", n)
		}
		etcd.Put(keyOf("a"), "junk")
		if err := joinErr(t, c, group, &member.Options{ID: "a"}); !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("a key of another program: %v", err)
		}
	})
}

func joinErr(t *testing.T, c *gateway.Client, group string, opts *member.Options) error {
	t.Helper()
	return second(member.Join(t.Context(), c, group, opts))
}

func second[A any](_ A, err error) error { return err }

func observeErr(ctx context.Context, c *gateway.Client, group string) error {
	for _, err := range member.Observe(ctx, c, group) {
		return err
	}
	return nil
}

// TestLeaveDuringAReturn: the member leaves while it waits for the answer to the write with which
// it returns, whether that was applied or not.
func TestLeaveDuringAReturn(t *testing.T) {
	t.Parallel()
	for _, apply := range []bool{true, false} {
		t.Run(fmt.Sprint(apply), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				c := etcd.Client(t)
				m := join(t, c, member.Options{ID: "a"})
				var once sync.Once
				held := make(chan struct{})
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					first := false
					if c.IsTxn(m.Key()) {
						once.Do(func() { first = true })
					}
					if !first {
						return c.Apply()
					}
					close(held)
					if apply {
						c.Apply()
					}
					return c.Silence()
				})
				etcd.Delete(m.Key())
				<-held
				if err := m.Leave(bubble.Within(t, time.Minute)); err != nil {
					t.Error(err)
				}
				wantIDs(t, c)
			})
		})
	}
}
