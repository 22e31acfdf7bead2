package member_test

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
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
)

func TestKeyIsBackAfterAnotherClientHasChangedIt(t *testing.T) {
	t.Parallel()
	for how, change := range map[string]func(*fakeetcd.Server){
		"deleted":     func(etcd *fakeetcd.Server) { etcd.Delete(keyOf("a")) },
		"overwritten": func(etcd *fakeetcd.Server) { etcd.Put(keyOf("a"), "junk") },
		"without its lease": func(etcd *fakeetcd.Server) {
			kv, _ := etcd.Get(keyOf("a"))
			etcd.Put(keyOf("a"), string(kv.Value))
		},
		"deleted and put": func(etcd *fakeetcd.Server) {
			kv, _ := etcd.Get(keyOf("a"))
			etcd.Delete(keyOf("a"))
			etcd.Put(keyOf("a"), string(kv.Value))
		},
		"while the watch is down": func(etcd *fakeetcd.Server) {
			etcd.BreakWatches(true)
			etcd.Delete(keyOf("a"))
			etcd.Put("other", "")
			etcd.Compact()
			time.Sleep(5 * time.Second)
			etcd.BreakWatches(false)
			time.Sleep(2 * time.Second) // until the client has another stream
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				c := etcd.Client(t)
				m := join(t, c, member.Options{ID: "a", Value: "here"})
				time.Sleep(30 * time.Second)
				change(etcd)
				backWithin(t, etcd, "a", 200*time.Millisecond)
				time.Sleep(time.Minute)
				if v := wantIDs(t, c, "a"); len(v.Members) == 1 && v.Members[0].Value != "here" {
					t.Errorf("members %+v", v.Members)
				}
				wantState(t, m, member.Joined)
			})
		})
	}
}

func TestMemberIsBackAfterItsSessionIsLost(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		m := join(t, c, member.Options{ID: "a"})
		for range 3 {
			time.Sleep(20 * time.Second)
			etcd.Revoke(wantIDs(t, c, "a").Members[0].Lease)
			backWithin(t, etcd, "a", 200*time.Millisecond)
		}
		wantState(t, m, member.Joined)
	})
}

// TestMemberIsBackAfterAnOutage: the outage ends the session, and the lease expires.
func TestMemberIsBackAfterAnOutage(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{20 * time.Second, time.Minute, 10 * time.Minute} {
		for how, answer := range map[string]func(*fakeetcd.Call) fakeetcd.Answer{
			"silent":  func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() },
			"refused": func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Lost },
		} {
			t.Run(outage.String()+" "+how, func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					m := join(t, etcd.Client(t), member.Options{ID: "a"})
					etcd.Script(answer)
					etcd.BreakWatches(true)
					time.Sleep(outage)
					if _, ok := etcd.Get(keyOf("a")); ok {
						t.Error("the key has outlived its lease")
					}
					wantState(t, m, member.Away)
					etcd.Script(nil)
					etcd.BreakWatches(false)
					backWithin(t, etcd, "a", time.Second)
					time.Sleep(time.Second)
					wantState(t, m, member.Joined)
				})
			})
		}
	}
}

// TestOwnEarlierKeyIsReplacedAtOnce: renewals reach etcd, but no answer returns. The session is
// lost, and its lease lives.
func TestOwnEarlierKeyIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		m := join(t, c, member.Options{ID: "a"})
		before, _ := etcd.Get(keyOf("a"))
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case strings.HasSuffix(c.Path, "/lease/keepalive"):
				c.Apply()
				return fakeetcd.Lost
			case strings.HasSuffix(c.Path, "/lease/revoke"):
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		time.Sleep(18 * time.Second) // beyond the deadline of the session, and its end
		etcd.Script(nil)
		time.Sleep(3 * time.Second)
		if !etcd.Expiry(before.Lease).IsZero() {
			t.Fatal("the first lease has ended")
		}
		now, ok := etcd.Get(keyOf("a"))
		if !ok || now.Lease == before.Lease || now.CreateRevision != before.CreateRevision {
			t.Errorf("the key was %+v and is %+v", before, now)
		}
		wantState(t, m, member.Joined)
		time.Sleep(time.Minute) // the first lease has expired
		wantIDs(t, c, "a")
	})
}

// TestMemberReturnsWithAnIDThatWasTaken: another process has joined during an outage.
func TestMemberReturnsWithAnIDThatWasTaken(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := join(t, etcd.Client(t), member.Options{ID: "a"})
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Lost })
		time.Sleep(time.Minute)
		etcd.Script(nil)
		etcd.Put(keyOf("a"), `{"token":"other","weight":1}`+"\n")
		time.Sleep(time.Minute)
		wantState(t, m, member.Away)
		if kv, _ := etcd.Get(keyOf("a")); kv.Lease != 0 {
			t.Error("the other member was replaced")
		}
		etcd.Delete(keyOf("a"))
		backWithin(t, etcd, "a", 200*time.Millisecond)
		wantState(t, m, member.Joined)
	})
}

// TestLostAnswers: with lost answers and late copies, a member is joined once, and is never seen
// twice.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for lost := 1; lost <= 8; lost++ {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			c := etcd.Client(t)
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				a := c.Apply()
				if c.N == lost {
					return fakeetcd.Lost
				}
				return a
			})
			m := join(t, c, member.Options{ID: "a"})
			etcd.Script(nil)
			if err := m.Update(bubble.Within(t, time.Minute), "x"); err != nil {
				t.Error(err)
			}
			if v := wantIDs(t, c, "a"); v.Members[0].Value != "x" {
				t.Errorf("call %d: %+v", lost, v)
			}
			leave(t, m)
			wantIDs(t, c)
		})
	}
}

// TestCtxEndsAtEachStep: a Join that was cut off leaves nothing behind.
func TestCtxEndsAtEachStep(t *testing.T) {
	t.Parallel()
	for step := 1; step <= 8; step++ {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				a := c.Apply()
				if c.N == step {
					cancel()
					c.Sleep(time.Second)
				}
				return a
			})
			began := time.Now()
			_, err := member.Join(ctx, etcd.Client(t), group, &member.Options{ID: "a"})
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("step %d: %v", step, err)
			}
			if d := time.Since(began); d > 200*time.Millisecond {
				t.Errorf("step %d: Join took %v", step, d)
			}
			cancel()
			time.Sleep(time.Minute)
			synctest.Wait()
			if n, keys := etcd.Leases(), etcd.Keys(group); n != 0 || len(keys) != 0 {
				t.Errorf("step %d: %d leases and %q are left", step, n, keys)
			}
		})
	}
}

func TestFullDatabase(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		m := join(t, etcd.Client(t), member.Options{ID: "a"})
		etcd.Fill(true)
		etcd.Delete(keyOf("a"))
		time.Sleep(10 * time.Second)
		wantState(t, m, member.Away)
		etcd.Fill(false)
		backWithin(t, etcd, "a", 2*time.Second)
		if err := m.Context().Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestPermissionIsNeededToJoinOnly(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		denied := func(c *fakeetcd.Call) fakeetcd.Answer {
			if strings.HasSuffix(c.Path, "/lease/keepalive") {
				return c.Apply()
			}
			return fakeetcd.Denied()
		}
		etcd.Script(denied)
		_, err := member.Join(t.Context(), c, group, nil)
		if !errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("Join = %v", err)
		}
		etcd.Script(nil)
		m := join(t, c, member.Options{ID: "a"})
		etcd.Script(denied)
		etcd.Delete(keyOf("a"))
		time.Sleep(10 * time.Minute)
		etcd.Revoke(etcdLease(t, etcd))
		time.Sleep(10 * time.Minute)
		wantState(t, m, member.Away)
		etcd.Script(nil)
		backWithin(t, etcd, "a", 2*time.Second)
	})
}

// etcdLease returns the lease of the only session.
func etcdLease(t *testing.T, etcd *fakeetcd.Server) gateway.LeaseID {
	t.Helper()
	for _, key := range etcd.Keys(session.DefaultRecordPrefix) {
		kv, _ := etcd.Get(key)
		return kv.Lease
	}
	t.Fatal("no session")
	return 0
}
