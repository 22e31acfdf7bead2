package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/etcdscript"
	"github.com/holdfast-go/holdfast/session"
)

// create is a write on the condition that the key is not there.
func create(s *session.Session, key string) session.Write {
	w := put(s, key)
	w.If = []gateway.Cmp{gateway.CreateRevision(key, gateway.Equal, 0)}
	w.Else = []gateway.Op{gateway.OpGet(key)}
	return w
}

type result struct {
	out session.Outcome
	err error
}

// together has writes wait while another is under way, which takes a second, and returns when they do.
func together(t *testing.T, etcd *etcdscript.Server, s *session.Session, script func(*etcdscript.Call) etcdscript.Answer,
	writes map[string]session.Write, limits map[string]time.Duration,
) map[string]result {
	t.Helper()
	etcd.Script(func(c *etcdscript.Call) etcdscript.Answer {
		if c.N == 1 {
			c.Sleep(500 * time.Millisecond)
			return c.Apply()
		}
		return script(c)
	})
	go func() {
		if _, err := s.WriteTogether(t.Context(), put(s, "first"), 1); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	type named struct {
		name string
		result
	}
	results := make(chan named)
	for name, w := range writes {
		limit := limits[name]
		if limit == 0 {
			limit = 10 * time.Second
		}
		ctx := within(t, limit)
		go func() {
			begin := time.Now()
			out, err := s.WriteTogether(ctx, w, 1)
			if d := time.Since(begin); d > limit {
				t.Errorf("%s: returned after %v", name, d)
			}
			results <- named{name, result{out, err}}
		}()
	}
	all := map[string]result{}
	for range writes {
		r := <-results
		all[r.name] = r.result
	}
	time.Sleep(5 * time.Second) // whatever goes on in the background
	return all
}

// TestTogether: writes that wait go in one transaction, and each is told what became of it, also if answers are lost.
func TestTogether(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		for lost := range 3 {
			synctest.Test(t, func(t *testing.T) {
				etcd := etcdscript.Start(t)
				s := open(t, etcd, nil)
				etcd.Put("taken", "")
				calls := 0
				all := together(t, etcd, s, func(c *etcdscript.Call) etcdscript.Answer {
					if c.IsTxn("free") {
						if calls++; calls <= lost {
							return loss.lose(c)
						}
					}
					return c.Apply()
				}, map[string]session.Write{"free": create(s, "free"), "taken": create(s, "taken"), "more": create(s, "more")}, nil)
				if calls < lost+1 || calls > 2*lost+1 { // one that finds the epoch moved goes again
					t.Errorf("%s, %d lost: %d calls", loss.name, lost, calls)
				}
				for name, r := range all {
					found := !r.out.Applied && len(r.out.Responses) == 1 && len(r.out.Responses[0].Get.KVs) == 1
					ours := name != "taken" && (r.out.Applied || found && r.out.Repeated)
					if r.err != nil || r.out.Repeated != (lost > 0) || ours == (name == "taken") || name == "taken" && !found {
						t.Errorf("%s, %d lost: %s: %+v", loss.name, lost, name, r)
					}
					if _, ok := etcd.Get(name); !ok {
						t.Errorf("%s, %d lost: %s is not there", loss.name, lost, name)
					}
				}
			})
		}
	}
}

// TestTogetherRefused: one that the server refuses does not harm the others.
func TestTogetherRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := etcdscript.Start(t)
		s := open(t, etcd, nil)
		all := together(t, etcd, s, func(c *etcdscript.Call) etcdscript.Answer {
			if c.IsTxn("forbidden") {
				return etcdscript.Denied()
			}
			return c.Apply()
		}, map[string]session.Write{"a": create(s, "a"), "forbidden": create(s, "forbidden"), "b": create(s, "b")}, nil)
		if err := all["forbidden"].err; !errors.Is(err, gateway.ErrPermissionDenied) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("forbidden: %v", err)
		}
		for _, name := range []string{"a", "b"} {
			if r := all[name]; r.err != nil || !r.out.Applied {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
}

// TestTogetherLeft: who leaves is told at once that the outcome is not known, and is undone; the others are not concerned.
// What all have left is given up.
func TestTogetherLeft(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			etcd := etcdscript.Start(t)
			s := open(t, etcd, nil)
			settled := map[string]bool{}
			watched := func(name string) session.Write {
				w := create(s, name)
				w.Settled = func() { settled[name] = true }
				return w
			}
			writes := map[string]session.Write{"left": watched("left"), "early": watched("early"), "stays": watched("stays")}
			limits := map[string]time.Duration{"left": 700 * time.Millisecond, "early": 100 * time.Millisecond}
			if alone {
				delete(writes, "stays")
			}
			all := together(t, etcd, s, func(c *etcdscript.Call) etcdscript.Answer {
				if c.N == 2 {
					a := c.Apply()
					c.Sleep(400 * time.Millisecond)
					return a
				}
				return c.Apply()
			}, writes, limits)
			left, early := all["left"].err, all["early"].err
			if !errors.Is(left, gateway.ErrUncertain) || !errors.Is(left, context.DeadlineExceeded) {
				t.Errorf("left when it was under way: %v", left)
			}
			if errors.Is(early, gateway.ErrUncertain) || !errors.Is(early, context.DeadlineExceeded) {
				t.Errorf("left before it was sent: %v", early)
			}
			if r := all["stays"]; !alone && (r.err != nil || !r.out.Applied) {
				t.Errorf("stayed: %+v", r)
			}
			_, gone := etcd.Get("left")
			_, kept := etcd.Get("stays")
			if gone || kept == alone || !settled["left"] || settled["early"] || settled["stays"] {
				t.Errorf("alone %t: left behind %v, settled %v", alone, etcd.Keys(""), settled)
			}
		})
	}
}

// TestTogetherBegun: what was begun is sent; what insists is done even if it was never sent; and nothing is sent once the
// session has ended.
func TestTogetherBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := etcdscript.Start(t)
		s := open(t, etcd, nil)
		begun := s.Begin(create(s, "begun"), 1)
		synctest.Wait()
		if _, ok := etcd.Get("begun"); !ok || !begun.Answered() {
			t.Error("not sent without Wait")
		}
		if out, err := begun.Wait(t.Context()); err != nil || !out.Applied {
			t.Errorf("%+v, %v", out, err)
		}
		insists := put(s, "never")
		insists.Insist, insists.Undo = true, []gateway.Op{gateway.OpPut("done", nil)}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.WriteTogether(over, insists, 1); !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
		time.Sleep(time.Second)
		if _, ok := etcd.Get("done"); !ok || len(etcd.Keys("never")) > 0 {
			t.Errorf("there are %v", etcd.Keys(""))
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := s.WriteTogether(t.Context(), put(s, "late"), 1); !errors.Is(err, session.ErrLost) {
			t.Errorf("after Close: %v", err)
		}
		if s.Background(func(context.Context) {}) || len(etcd.Keys("late")) > 0 {
			t.Error("something runs after Close")
		}
	})
}
