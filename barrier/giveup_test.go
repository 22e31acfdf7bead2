package barrier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestEachWriteOfARoundCountsOnceWhenItsAnswerIsLost: each write of a round is lost once, applied
// or not.
func TestEachWriteOfARoundCountsOnceWhenItsAnswerIsLost(t *testing.T) {
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
	s := []*session.Session{bubble.Session(t, etcd), bubble.Session(t, etcd)}
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
					err = errors.Join(e.Leave(t.Context()),
						NewLatch(s, "c", 3).CountDown(t.Context()))
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

// TestACallWithAnEndedContextLeavesNoKey: no call leaves a key when its context had ended before.
func TestACallWithAnEndedContextLeavesNoKey(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
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

// TestAMemberWithoutItsKeyHasNotPassedTheRound: a member whose key is gone when it reads the result
// of its round has not passed.
func TestAMemberWithoutItsKeyHasNotPassedTheRound(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
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

// TestAMemberThatStopsWaitingMarksItsRoundAsBroken: a member that stops waiting writes the mark,
// also when no other member would.
func TestAMemberThatStopsWaitingMarksItsRoundAsBroken(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
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

// TestAMemberLeavesItsRoundAfterARefusedRequest: a member that has passed a round leaves it also
// when etcd rejected the first request.
func TestAMemberLeavesItsRoundAfterARefusedRequest(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := NewCyclic(bubble.Session(t, etcd), "a", 1)
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

// TestAWaitEndsWhenTheKeyOfItsMemberIsDeleted: a wait returns ErrKeyDeleted when the member's key
// is deleted, as other holds do.
func TestAWaitEndsWhenTheKeyOfItsMemberIsDeleted(t *testing.T) {
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
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				done := make(chan error)
				go func() { done <- wait(t.Context(), s) }()
				synctest.Wait()
				etcd.Delete("a/" + s.Lease().String())
				if err := <-done; !errors.Is(err, session.ErrKeyDeleted) ||
					!errors.Is(err, session.ErrLost) {
					t.Error(err)
				}
			})
		})
	}
}
