package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// create is a write on the condition that the key does not exist.
func create(s *session.Session, key string) core.Write {
	w := put(s, key)
	w.If = []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)}
	w.Else = []gateway.Op{gateway.OpGet(key)}
	return w
}

// weighted sets the weight with which a write shares a transaction.
func weighted(w core.Write) core.Write {
	w.Weight = 1
	return w
}

type result struct {
	out core.Outcome
	err error
}

// together starts writes while another is under way, which takes a second, and returns when they
// have returned.
func together(
	t *testing.T, etcd *fakeetcd.Server, s *session.Session,
	script func(*fakeetcd.Call) fakeetcd.Answer,
	writes map[string]core.Write, limits map[string]time.Duration,
) map[string]result {
	t.Helper()
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if c.N == 1 {
			c.Sleep(500 * time.Millisecond)
			return c.Apply()
		}
		return script(c)
	})
	go func() {
		if _, err := core.Of(s).Write(t.Context(), weighted(put(s, "first"))); err != nil {
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
			out, err := core.Of(s).Write(ctx, weighted(w))
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
	time.Sleep(5 * time.Second) // for work in the background
	return all
}

// TestTogether: waiting writes are sent in one transaction, and each returns its own outcome. This
// also holds if answers are lost: to the flat transaction, to the nested one that follows when a
// compare did not hold, or to both.
func TestTogether(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		for _, taken := range []bool{false, true} {
			for run := range 9 {
				first, last := run/3, run/3+run%3 // of the calls whose answers are lost
				synctest.Test(t, func(t *testing.T) {
					about := fmt.Sprintf(
						"%s, calls %d to %d lost, taken: %v", loss.name, first, last, taken)
					testTogether(t, loss.lose, about, taken, first, last)
				})
			}
		}
	}
}

func testTogether(
	t *testing.T, lose func(*fakeetcd.Call) fakeetcd.Answer, about string, taken bool,
	first, last int,
) {
	t.Helper()
	etcd := fakeetcd.Start(t)
	s := open(t, etcd, nil)
	if taken {
		etcd.Put("taken", "")
	}
	calls, lost := 0, 0
	all := together(t, etcd, s, func(c *fakeetcd.Call) fakeetcd.Answer {
		if c.IsTxn("free") {
			if calls++; calls > first && calls <= last {
				lost++
				return lose(c)
			}
		}
		return c.Apply()
	}, map[string]core.Write{
		"free": create(s, "free"), "taken": create(s, "taken"), "more": create(s, "more"),
	}, nil)
	if calls < lost+1 || calls > 2*lost+2 { // a write that finds the epoch changed is sent again
		t.Errorf("%s: %d calls", about, calls)
	}
	for name, r := range all {
		found := !r.out.Applied && len(r.out.Responses) == 1 && len(r.out.Responses[0].Get.KVs) == 1
		theirs := taken && name == "taken"
		ours := !theirs && (r.out.Applied || found && r.out.Repeated)
		if r.err != nil || r.out.Repeated != (lost > 0) || ours == theirs || theirs && !found {
			t.Errorf("%s: %s: %+v", about, name, r)
		}
		if _, ok := etcd.Get(name); !ok {
			t.Errorf("%s: %s is not there", about, name)
		}
	}
}

// TestTogetherFlat: a group whose compares hold is one transaction without nested ones, in which
// one operation deletes neighbours. Once a compare did not hold, the next groups are nested from
// the start, for a while.
func TestTogetherFlat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		var group string // the last transaction
		round := func(taken bool) {
			t.Helper()
			for _, key := range []string{"a/08", "a/09", "a/10", "a/12", "b/13", "kept/9"} {
				etcd.Put(key, "")
			}
			txns := 0
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.Path != "/kv/txn" {
					return c.Apply()
				}
				if txns++; txns == 1 {
					c.Sleep(time.Second)
				}
				group = string(c.Body)
				return c.Apply()
			})
			results := make(chan result)
			for i, keys := range [][]string{nil, {"a/12"}, {"a/10", "b/13"}, {"a/08", "a/09"}} {
				w := core.Write{Weight: 1, Deletes: keys}
				for _, key := range keys {
					w.If = append(w.If, gateway.CmpCreateRevision(key, gateway.Greater, 0))
					w.Then = append(w.Then, gateway.OpDelete(key))
				}
				w.Then = append(w.Then, gateway.OpPut(fmt.Sprint("by", i), nil))
				go func() {
					out, err := core.Of(s).Write(t.Context(), w)
					if n := len(w.Then); err == nil && out.Applied && (len(out.Responses) != n ||
						out.Responses[n-1].Put == nil || n > 1 && out.Responses[n-2].Delete.Deleted != 1) {
						t.Errorf("%q: %+v", keys, out)
					}
					results <- result{out, err}
				}()
				if synctest.Wait(); i == 0 && taken {
					etcd.Delete("a/12")
				}
			}
			applied := 0
			for range 4 {
				r := <-results
				if r.err != nil {
					t.Error(r.err)
				}
				if r.out.Applied {
					applied++
				}
			}
			want := map[bool]int{false: 4, true: 3}[taken]
			if left := etcd.Keys("a/"); applied != want || len(left) > 0 || len(etcd.Keys("b/")) > 0 ||
				len(etcd.Keys("kept/")) != 1 {
				t.Errorf("%d applied; left: %q", applied, left)
			}
		}
		round(false)
		nested := strings.Contains(group, "request_txn")
		deletes := strings.Count(group, "request_delete_range")
		if nested || deletes != 3 {
			t.Errorf("nested: %v, %d deletes: %s", nested, deletes, group)
		}
		round(true)
		for range 32 {
			round(false)
			if !strings.Contains(group, "request_txn") {
				t.Fatal("flat again at once")
			}
		}
		round(false)
		if strings.Contains(group, "request_txn") {
			t.Error("nested for ever")
		}
	})
}

// TestTogetherAbsent: neighbours that must not exist are compared together. If one exists, only its
// own write is not applied.
func TestTogetherAbsent(t *testing.T) {
	t.Parallel()
	// The compares of a group of three, which is flat, or nested if a key exists.
	for taken, compares := range map[string]int{"": 2, "n/09": 3, "n/10": 3, "n/12": 3} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s := open(t, etcd, nil)
			etcd.Put("n/08", "")
			etcd.Put("n/11", "")
			if taken != "" {
				etcd.Put(taken, "")
			}
			var group string // the last transaction
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.N == 1 {
					c.Sleep(time.Second)
				}
				group = string(c.Body)
				return c.Apply()
			})
			first := core.Of(s).Submit(t.Context(), weighted(put(s, "first")))
			synctest.Wait()
			begun := map[string]*core.Pending{}
			for _, key := range []string{"n/12", "n/09", "n/10"} {
				then := []gateway.Op{gateway.OpPut("by "+key, nil)}
				begun[key] = core.Of(s).Submit(t.Context(), core.Write{
					Then: then, Weight: 1, Absent: []string{key},
					Compensation: core.Deletion("by " + key),
				})
			}
			if _, err := first.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			for key, p := range begun {
				if out, err := p.Wait(t.Context()); err != nil || out.Applied != (key != taken) {
					t.Errorf("%q taken: %q: %+v, %v", taken, key, out, err)
				}
				if _, ok := etcd.Get("by " + key); ok != (key != taken) {
					t.Errorf("%q taken: by %q: %v", taken, key, ok)
				}
			}
			if n := strings.Count(group, `"CREATE"`); n != compares {
				t.Errorf("%q taken: %d compares: %s", taken, n, group)
			}
		})
	}
}

// TestTogetherRefused: a write that the server rejects does not affect the others.
func TestTogetherRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		all := together(t, etcd, s, func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("forbidden") {
				return fakeetcd.Denied()
			}
			return c.Apply()
		}, map[string]core.Write{
			"a": create(s, "a"), "forbidden": create(s, "forbidden"), "b": create(s, "b"),
		}, nil)
		if err := all["forbidden"].err; !errors.Is(err, gateway.ErrPermissionDenied) ||
			errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("forbidden: %v", err)
		}
		for _, name := range []string{"a", "b"} {
			if r := all[name]; r.err != nil || !r.out.Applied {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
}

// TestTogetherLeft: a caller whose context ends returns at once with ErrUncertain, and its write is
// undone. The others are not affected. A transaction that all callers have left is cancelled.
func TestTogetherLeft(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s := open(t, etcd, nil)
			settled := map[string]bool{}
			watched := func(name string) core.Write {
				w := create(s, name)
				w.OnResolved = func() { settled[name] = true }
				return w
			}
			writes := map[string]core.Write{
				"left": watched("left"), "early": watched("early"), "stays": watched("stays"),
			}
			limits := map[string]time.Duration{
				"left": 700 * time.Millisecond, "early": 100 * time.Millisecond,
			}
			if alone {
				delete(writes, "stays")
			}
			all := together(t, etcd, s, func(c *fakeetcd.Call) fakeetcd.Answer {
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

// TestTogetherSubmitted: Submit sends a write without Wait. A write with CompleteOnCancel is
// compensated even if it was never sent. Nothing is sent after the session has ended.
func TestTogetherSubmitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		begun := core.Of(s).Submit(t.Context(), weighted(create(s, "begun")))
		synctest.Wait()
		if _, ok := etcd.Get("begun"); !ok || !begun.Answered() {
			t.Error("not sent without Wait")
		}
		if out, err := begun.Wait(t.Context()); err != nil || !out.Applied {
			t.Errorf("%+v, %v", out, err)
		}
		insists := put(s, "never")
		insists.CompleteOnCancel, insists.Compensation = true, func() []gateway.Op {
			return []gateway.Op{gateway.OpPut("done", nil)}
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := core.Of(s).Write(over, weighted(insists))
		if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
		time.Sleep(time.Second)
		if _, ok := etcd.Get("done"); !ok || len(etcd.Keys("never")) > 0 {
			t.Errorf("there are %v", etcd.Keys(""))
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		_, err = core.Of(s).Write(t.Context(), weighted(put(s, "late")))
		if !errors.Is(err, session.ErrLost) {
			t.Errorf("after Close: %v", err)
		}
		if core.Of(s).Background(func(context.Context) {}) || len(etcd.Keys("late")) > 0 {
			t.Error("something runs after Close")
		}
	})
}
