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
	"github.com/holdfast-go/holdfast/internal/etcdscript"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// at is a line at a revision, with a record and members of these fences.
func at(t *testing.T, revision int64, record []fate, fences ...int64) state {
	t.Helper()
	v := line.View{Revision: revision, Settings: map[string]string{}}
	for _, f := range fences {
		v.Members = append(v.Members, line.Member{Key: "k", Fence: f})
	}
	if record != nil {
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		v.Settings[roundsSetting] = string(text)
	}
	s, err := stateOf(v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecide(t *testing.T) {
	t.Parallel()
	one, two := fate{1, 0, 12, false}, fate{2, 12, 15, true}
	for _, tt := range []struct {
		name   string
		now    state
		want   []fate
		guards int
	}{
		{"first, full", at(t, 20, nil, 3, 5, 8), []fate{{1, 0, 8, false}}, 4},
		{"first, crowd", at(t, 20, nil, 3, 5, 8, 9, 11), []fate{{1, 0, 8, false}}, 4},
		{"first, broken", at(t, 20, nil, 3, 5), []fate{{1, 0, 20, true}}, 2},
		{"members of old rounds keep their entries", at(t, 20, []fate{one, two}, 10, 14, 16, 17, 18), []fate{one, two, {3, 15, 18, false}}, 4},
		{"entries without members go", at(t, 20, []fate{one, two}, 14, 16), []fate{two, {3, 15, 20, true}}, 2},
		{"members of old rounds do not count", at(t, 20, []fate{one, two}, 10, 14, 16), []fate{one, two, {3, 15, 20, true}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, err := tt.now.decide(&line.Line{Name: "a"}, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(w.If) != tt.guards {
				t.Errorf("%d compares", len(w.If))
			}
			text, err := json.Marshal(tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if put := gateway.OpPut("a//rounds", text); !reflect.DeepEqual(w.Then, []gateway.Op{put}) {
				t.Errorf("writes %+v, want %s", w.Then, text)
			}
		})
	}
}

func TestFate(t *testing.T) {
	t.Parallel()
	one, three := fate{1, 0, 12, false}, fate{3, 15, 18, true}
	s := at(t, 20, []fate{one, three}, 5, 16, 19)
	for fence, want := range map[int64]fate{5: one, 12: one, 16: three, 18: three, 19: {}} {
		f, decided, err := s.fate(line.Member{Fence: fence})
		if f != want || decided != (want != fate{}) || err != nil {
			t.Errorf("fate of %d = %+v, %v, %v", fence, f, decided, err)
		}
	}
	if _, _, err := s.fate(line.Member{Fence: 13}); !errors.Is(err, errForgotten) {
		t.Errorf("an entry that somebody took out: %v", err)
	}
	if w := s.waiting(); len(w) != 1 || w[0].Fence != 19 {
		t.Errorf("waiting: %v", w)
	}
	if !one.anyIn(s.View) || (fate{2, 12, 15, false}).anyIn(s.View) {
		t.Error("who is in which round")
	}
	if _, err := stateOf(line.View{Settings: map[string]string{roundsSetting: "?"}}); err == nil {
		t.Error("a record that is none was read")
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	old := []fate{{1, 0, 12, false}}
	before := at(t, 20, old, 5, 14, 16)
	for _, tt := range []struct {
		name string
		now  state
		want bool
	}{
		{"same", before, false},
		{"one more", at(t, 21, old, 5, 14, 16, 21), false},
		{"one of an old round less", at(t, 21, old, 14, 16), false},
		{"one less", at(t, 21, old, 5, 16), true},
		{"the same key again", at(t, 22, old, 5, 16, 22), true},
		{"decided", at(t, 22, append(slices.Clip(old), fate{2, 12, 16, false}), 5), false},
	} {
		if got := tt.now.missing(before); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestEveryAnswerLost: each write of a round is lost once, applied or not.
func TestEveryAnswerLost(t *testing.T) {
	t.Parallel()
	for skip := range 12 {
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
	etcd := etcdscript.Start(t)
	s := []*session.Session{open(t, etcd), open(t, etcd)}
	txns, lost := 0, 0
	etcd.Script(func(c *etcdscript.Call) etcdscript.Answer {
		if c.Path == "/kv/txn" {
			txns++
		}
		if c.Path == "/kv/txn" && txns > skip && lost < 2 {
			lost++
			if applied {
				c.Apply()
			}
			return etcdscript.Lost
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
					err = e.Leave(t.Context())
				}
			}
			done <- err
		}()
	}
	if err := errors.Join(<-done, <-done); err != nil || lost == 0 {
		t.Errorf("%v, %d lost", err, lost)
	}
	synctest.Wait()
	if left := append(etcd.Keys("a/"), etcd.Keys("b/")...); len(left) != 4 {
		t.Errorf("left: %v", left)
	}
}

// TestGiveUpAtOnce: with a context that has ended nothing stays, whichever call it is.
func TestGiveUpAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := etcdscript.Start(t)
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

func open(t *testing.T, etcd *etcdscript.Server) *session.Session {
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

// TestDisplaced: a member that is gone when it comes to see its round decided was not one of those who passed.
func TestDisplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := etcdscript.Start(t)
		s := open(t, etcd)
		done := make(chan error, 1)
		go func() { _, err := NewDouble(s, "a", 2).Enter(t.Context()); done <- err }()
		synctest.Wait()
		if _, err := etcd.Client(t).Txn(t.Context(), gateway.Txn{Then: []gateway.Op{
			gateway.OpDelete("a/" + s.Lease().String()),
			gateway.OpPut("a//rounds", []byte(`[{"round":1,"from":0,"to":99}]`)),
		}}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, session.ErrRemoved) {
			t.Errorf("Enter = %v", err)
		}
	})
}

// TestWhoeverGivesUpBreaks: the one that gives up writes that, also when nobody else would.
func TestWhoeverGivesUpBreaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := etcdscript.Start(t)
		s := open(t, etcd)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		etcd.Put("a//parties", "cyclic 3")
		go func() {
			time.Sleep(500 * time.Millisecond)
			etcd.Put("a/stopped", "") // does nothing itself
		}()
		if _, err := NewCyclic(s, "a", 3).Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Await = %v", err)
		}
		synctest.Wait()
		kv, _ := etcd.Get("a//rounds")
		stopped, _ := etcd.Get("a/stopped")
		var record []fate
		if err := json.Unmarshal(kv.Value, &record); err != nil || len(record) != 1 || !record[0].Broken || record[0].To < stopped.CreateRevision {
			t.Errorf("record %s, %v", kv.Value, err)
		}
		if keys := etcd.Keys("a/"); len(keys) != 3 {
			t.Errorf("keys %v", keys)
		}
	})
}
