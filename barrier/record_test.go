package barrier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// at returns a line at a revision, with a record, a mark and members with these fences.
func at(t *testing.T, revision int64, record []round, broken int64, fences ...int64) state {
	t.Helper()
	v := line.Snapshot{Revision: revision, Settings: map[string]string{}, Puts: map[string]line.Put{}}
	for _, f := range fences {
		v.Members = append(v.Members, line.Member{Key: "k", Fence: f})
	}
	if record != nil {
		v.Settings[roundsSetting] = text(t, record)
		v.Puts[roundsSetting] = line.Put{Revision: 1 + record[len(record)-1].Last, Version: int64(len(record))}
	}
	if broken > 0 {
		v.Settings[brokenSetting] = ""
		v.Puts[brokenSetting] = line.Put{Revision: broken, Version: 3}
	}
	s, err := stateOf(&line.Line{Name: "a"}, v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(t *testing.T, record []round) string {
	t.Helper()
	list, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%019d %s", record[len(record)-1].Last, list)
}

func TestComplete(t *testing.T) {
	t.Parallel()
	one, two := round{1, 3, 12}, round{2, 13, 15}
	for _, tt := range []struct {
		name string
		now  state
		want []round
	}{
		{"first", at(t, 20, nil, 0, 3, 5, 8), []round{{1, 3, 8}}},
		{"crowd", at(t, 20, nil, 0, 3, 5, 8, 9, 11), []round{{1, 3, 8}}},
		{"behind broken ones", at(t, 20, nil, 6, 3, 5, 8, 9, 11), []round{{4, 8, 11}}},
		{"entries with members stay", at(t, 20, []round{one, two}, 0, 10, 14, 16, 17, 18), []round{one, two, {3, 16, 18}}},
		{"entries without members go", at(t, 20, []round{one, two}, 0, 14, 16, 17, 18), []round{two, {3, 16, 18}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tt.now.complete(&line.Line{Name: "a"}, 3)
			if len(w.If) != 4 {
				t.Errorf("%d compares", len(w.If))
			}
			if put := gateway.OpPut("a//rounds", []byte(text(t, tt.want))); !reflect.DeepEqual(w.Then, []gateway.Op{put}) {
				t.Errorf("writes %+v, want %v", w.Then, tt.want)
			}
		})
	}
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	one, three := round{1, 3, 12}, round{3, 16, 18}
	for _, tt := range []struct {
		now  state
		want []int64
	}{
		{at(t, 20, nil, 0), nil},
		{at(t, 20, nil, 0, 5, 16), []int64{5, 16}},
		{at(t, 20, nil, 6, 5, 16), []int64{16}},
		{at(t, 20, nil, 17, 5, 16), nil},
		{at(t, 20, []round{one}, 0, 5, 14, 16), []int64{14, 16}},
		{at(t, 20, []round{one}, 15, 5, 14, 16), []int64{16}},
		{at(t, 20, []round{one, three}, 15, 5, 14, 16, 19), []int64{19}},
	} {
		var got []int64
		for _, m := range tt.now.waiting() {
			got = append(got, m.Fence)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v wait, want %v", tt.now, got, tt.want)
		}
	}
	s := at(t, 20, []round{one, three}, 0, 5, 16)
	if !one.anyIn(s.Snapshot) || (round{2, 13, 15}).anyIn(s.Snapshot) {
		t.Error("who is in which round")
	}
	for _, bad := range []string{"", "?", "12", "[]"} {
		if _, err := stateOf(&line.Line{Name: "a"}, line.Snapshot{Settings: map[string]string{roundsSetting: bad}}); err == nil {
			t.Errorf("%q was read as a record", bad)
		}
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	old := []round{{1, 3, 12}}
	before := at(t, 20, old, 0, 5, 14, 16)
	for _, tt := range []struct {
		name string
		now  state
		want bool
	}{
		{"same", before, false},
		{"one more", at(t, 21, old, 0, 5, 14, 16, 21), false},
		{"one of an old round less", at(t, 21, old, 0, 14, 16), false},
		{"one less", at(t, 21, old, 0, 5, 16), true},
		{"the same key again", at(t, 22, old, 0, 5, 16, 22), true},
		{"complete", at(t, 22, append(slices.Clip(old), round{2, 14, 16}), 0, 5), false},
	} {
		if got := tt.now.lost(before); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// world is a line whose members act only by the test's calls.
type world struct {
	*testing.T
	etcd   *fakeetcd.Server
	client *gateway.Client
	line   line.Line
	fences map[string]int64
}

func (w *world) join(keys ...string) {
	for _, key := range keys {
		w.etcd.Put("a/"+key, "")
		kv, _ := w.etcd.Get("a/" + key)
		w.fences[key] = kv.CreateRevision
	}
}

func (w *world) see() state {
	w.Helper()
	v, err := w.line.Now(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	s, err := stateOf(&line.Line{Name: "a"}, v)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) apply(t gateway.Txn) {
	w.Helper()
	if _, err := w.client.Txn(w.Context(), t); err != nil {
		w.Fatal(err)
	}
}

func (w *world) complete(seen state, n int) {
	w.Helper()
	write := seen.complete(&w.line, n)
	w.apply(gateway.Txn{If: write.If, Then: write.Then})
}

// leave removes a member that stops waiting.
func (w *world) leave(key string) {
	w.Helper()
	w.apply(gateway.Txn{Then: []gateway.Op{gateway.OpDelete("a/" + key), breaking(&w.line, w.fences[key])}})
}

// TestBreaking: a member that stops waiting breaks its own round, and no other.
func TestBreaking(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		happen func(w *world)
		want   map[string]string
	}{
		{"alone", func(w *world) { w.join("a"); w.leave("a"); w.join("b") }, map[string]string{"b": "waits"}},
		{
			"others wait", func(w *world) { w.join("a", "b", "c"); w.leave("b"); w.join("d") },
			map[string]string{"a": "broken", "c": "broken", "d": "waits"},
		},
		{
			"is complete", func(w *world) { w.join("a", "b", "c", "d"); w.complete(w.see(), 3); w.leave("b") },
			map[string]string{"a": "passed", "c": "passed", "d": "waits"},
		},
		{
			"the last of the complete", func(w *world) { w.join("a", "b", "c"); w.complete(w.see(), 2); w.leave("b") },
			map[string]string{"a": "passed", "c": "waits"},
		},
		{
			"is broken", func(w *world) { w.join("a", "b"); w.leave("a"); w.join("c"); w.leave("b") },
			map[string]string{"c": "waits"},
		},
		{
			"behind a complete one", func(w *world) {
				w.join("a", "b")
				w.complete(w.see(), 2)
				w.join("c", "d")
				w.leave("c")
				w.join("e")
			},
			map[string]string{"a": "passed", "b": "passed", "d": "broken", "e": "waits"},
		},
		{
			"complete too late", func(w *world) { w.join("a", "b"); seen := w.see(); w.join("c"); w.leave("c"); w.complete(seen, 2) },
			map[string]string{"a": "broken", "b": "broken"},
		},
		{
			"complete with one gone", func(w *world) { w.join("a", "b"); seen := w.see(); w.etcd.Delete("a/b"); w.complete(seen, 2) },
			map[string]string{"a": "waits"},
		},
		{
			"complete twice", func(w *world) {
				w.join("a", "b", "c")
				seen := w.see()
				w.complete(seen, 2)
				w.etcd.Delete("a/a")
				seen.Members = seen.Members[1:]
				w.complete(seen, 2)
			}, map[string]string{"b": "passed", "c": "waits"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd)
				w := &world{t, etcd, etcd.Client(t), line.Line{Session: core.Of(s), Name: "a"}, map[string]int64{}}
				tt.happen(w)
				now := w.see()
				got := map[string]string{}
				for _, m := range now.Members {
					fate := "passed"
					if _, err := now.fate(m.Fence); m.Fence > now.edge {
						fate = "waits"
					} else if err != nil {
						fate = "broken"
					}
					got[m.Key[len("a/"):]] = fate
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("%v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestEveryAnswerLost: each write of a round is lost once, applied or not.
func TestEveryAnswerLost(t *testing.T) {
	t.Parallel()
	for skip := range 16 {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprint(skip, applied), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { lose(t, skip, applied) })
			})
		}
	}
}

func lose(t *testing.T, skip int, applied bool) {
	t.Helper()
	etcd := fakeetcd.Start(t)
	s := []*session.Session{open(t, etcd), open(t, etcd)}
	txns, lost := 0, 0
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if c.Path == "/kv/txn" {
			txns++
		}
		if c.Path == "/kv/txn" && txns > skip && lost < 2 {
			lost++
			if applied {
				c.Apply()
			}
			return fakeetcd.Lost
		}
		return c.Apply()
	})
	done := make(chan error, 2)
	for _, s := range s {
		go func() {
			_, err := NewCyclic(s, "a", 2).Await(t.Context())
			if err == nil {
				var e *Entry
				if e, err = NewDouble(s, "b", 2).Enter(t.Context()); err == nil {
					err = errors.Join(e.Leave(t.Context()), NewLatch(s, "c", 3).CountDown(t.Context()))
				}
			}
			done <- err
		}()
	}
	if err := errors.Join(<-done, <-done); err != nil || lost == 0 {
		t.Errorf("%v, %d lost", err, lost)
	}
	synctest.Wait()
	if left := slices.Concat(etcd.Keys("a/"), etcd.Keys("b/"), etcd.Keys("c/")); len(left) != 6 {
		t.Errorf("left: %v", left)
	}
	if left, err := NewLatch(s[0], "c", 3).Count(t.Context()); left != 1 || err != nil {
		t.Errorf("Count = %d, %v", left, err)
	}
}

// TestGiveUpAtOnce: no call leaves a key when its context had ended before.
func TestGiveUpAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for what, call := range map[string]func() error{
			"hold":  func() error { _, err := New(s, "a").Hold(ended); return err },
			"wait":  func() error { return New(s, "a").Wait(ended) },
			"enter": func() error { _, err := NewDouble(s, "b", 1).Enter(ended); return err },
			"await": func() error { _, err := NewCyclic(s, "c", 1).Await(ended); return err },
			"count": func() error { return NewLatch(s, "d", 1).CountDown(ended) },
			"open":  func() error { return NewLatch(s, "d", 1).Wait(ended) },
			"look":  func() error { _, err := NewLatch(s, "d", 1).Inspect(ended); return err },
		} {
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", what, err)
			}
		}
		synctest.Wait()
		for _, name := range []string{"a", "b", "c", "d"} {
			if left := etcd.Keys(name + "/"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		}
	})
}

func open(t *testing.T, etcd *fakeetcd.Server) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), etcd.Client(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // the server may be gone
	})
	synctest.Wait()
	return s
}

// TestDisplaced: a member whose key is gone when it reads the result of its round has not passed.
func TestDisplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd)
		done := make(chan error, 1)
		go func() { _, err := NewDouble(s, "a", 2).Enter(t.Context()); done <- err }()
		synctest.Wait()
		if _, err := etcd.Client(t).Txn(t.Context(), gateway.Txn{Then: []gateway.Op{
			gateway.OpDelete("a/" + s.Lease().String()),
			gateway.OpPut("a//rounds", []byte(text(t, []round{{1, 1, etcd.Revision()}}))),
		}}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, session.ErrKeyDeleted) {
			t.Errorf("Enter = %v", err)
		}
	})
}

// TestWhoeverGivesUpBreaks: a member that stops waiting writes the mark, also when no other member
// would.
func TestWhoeverGivesUpBreaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		etcd.Put("a//parties", "cyclic 3")
		go func() {
			time.Sleep(500 * time.Millisecond)
			etcd.Put("a/stopped", "") // a member whose process is stopped
		}()
		if _, err := NewCyclic(s, "a", 3).Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Await = %v", err)
		}
		synctest.Wait()
		mark, ok := etcd.Get("a//broken")
		stopped, _ := etcd.Get("a/stopped")
		if !ok || mark.ModRevision < stopped.CreateRevision {
			t.Errorf("the mark is %+v, the other came at %d", mark, stopped.CreateRevision)
		}
		if keys := etcd.Keys("a/"); len(keys) != 3 {
			t.Errorf("keys %v", keys)
		}
	})
}

// TestLeavingRefusedOnce: a member that has passed a round leaves it also when etcd rejected the
// first request.
func TestLeavingRefusedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := NewCyclic(open(t, etcd), "a", 1)
		passed, refused := false, false
		etcd.Script(func(call *fakeetcd.Call) fakeetcd.Answer {
			if call.Path == "/kv/txn" && passed && !refused {
				refused = true
				return fakeetcd.Denied()
			}
			passed = passed || call.IsTxn(`"round"`)
			return call.Apply()
		})
		if _, err := c.Await(t.Context()); err != nil || !refused {
			t.Fatalf("%v, refused: %v", err, refused)
		}
		time.Sleep(time.Minute)
		if keys := etcd.Keys("a/"); !slices.Equal(keys, []string{"a//parties", "a//rounds"}) {
			t.Errorf("a minute later: %v", keys)
		}
	})
}

// TestRemovedIsLost: a wait returns ErrKeyDeleted when the member's key is deleted, as other holds
// do.
func TestRemovedIsLost(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(ctx context.Context, s *session.Session) error{
		"Double": func(ctx context.Context, s *session.Session) error {
			_, err := NewDouble(s, "a", 2).Enter(ctx)
			return err
		},
		"Cyclic": func(ctx context.Context, s *session.Session) error {
			_, err := NewCyclic(s, "a", 2).Await(ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd)
				done := make(chan error)
				go func() { done <- wait(t.Context(), s) }()
				synctest.Wait()
				etcd.Delete("a/" + s.Lease().String())
				if err := <-done; !errors.Is(err, session.ErrKeyDeleted) || !errors.Is(err, session.ErrLost) {
					t.Error(err)
				}
			})
		})
	}
}
