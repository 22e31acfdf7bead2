package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// endsWith returns a context that ends after half a second with a cause. The context of an errgroup
// ends with the error of another goroutine.
func endsWith(t *testing.T, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		time.Sleep(500 * time.Millisecond)
		cancel(cause)
	}()
	return ctx
}

// TestTheCauseOfAContextIsNoAnswer: the context of a write ends with an error of another call as
// its cause, before the write is sent or while it is under way. It is resolved like with any other
// cause: no copy is applied later, and the session does not end.
func TestTheCauseOfAContextIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{
		gateway.ErrNoSpace, gateway.ErrLeaseNotFound, gateway.ErrUncertain, gateway.ErrClusterMismatch,
		gateway.ErrInvalid, session.ErrLost,
	} {
		for _, key := range []string{"", "zebra"} {
			for _, waits := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v/%s/waits %t", cause, key, waits), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { testCause(t, cause, key, waits) })
				})
			}
		}
	}
}

func testCause(t *testing.T, cause error, key string, waits bool) {
	t.Helper()
	etcd := fakeetcd.Start(t)
	s := open(t, etcd, nil)
	var late *fakeetcd.Call
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		switch {
		case c.IsTxn("busy"):
			c.Sleep(800 * time.Millisecond)
		case late == nil && c.IsTxn("zebra"):
			late = c
			return c.Silence()
		}
		return c.Apply()
	})
	for i := range maxCommits {
		if waits {
			go func() { _, _ = core.Of(s).Write(t.Context(), sharing(s, fmt.Sprint("busy", i), "")) }()
		}
	}
	synctest.Wait()
	w := put(s, "zebra")
	w.Key = key
	var resolved atomic.Bool
	w.OnResolved = func() { resolved.Store(true) }
	_, err := core.Of(s).Write(endsWith(t, cause), w)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Error(err)
	}
	time.Sleep(5 * time.Second)
	synctest.Wait()
	if uncertain := errors.Is(err, gateway.ErrUncertain); uncertain != resolved.Load() {
		t.Errorf("%v; OnResolved was called: %v", err, !uncertain)
	}
	if late != nil {
		late.Apply()
	}
	if len(etcd.Keys("zebra")) > 0 {
		t.Error("a late copy was applied")
	}
	if err := s.Err(); err != nil {
		t.Errorf("the session has ended: %v", err)
	}
}

// TestTheCauseOfAContextEndsNoHold: a release whose context ends with the loss of something else,
// or with the error of a full database, continues in the background, and the next one waits for it.
func TestTheCauseOfAContextEndsNoHold(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{session.ErrLost, gateway.ErrNoSpace} {
		for _, more := range []bool{false, true} {
			t.Run(fmt.Sprint(cause, more), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					s := open(t, etcd, nil)
					freed := 0
					h, grip := holdKey(t, s, "me", func() { freed++ })
					if more {
						grip.AddReleaseOps(gateway.OpPut("marker", nil))
					}
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
					_, err := h.Txn(endsWith(t, cause), gateway.Txn{})
					if !errors.Is(err, gateway.ErrUncertain) || errors.Is(err, session.ErrNotHeld) {
						t.Errorf("a transaction under the hold: %v", err)
					}
					err = grip.Release(endsWith(t, cause))
					if !errors.Is(err, gateway.ErrUncertain) || errors.Is(err, session.ErrNotHeld) {
						t.Error(err)
					}
					etcd.Script(nil)
					if err := grip.Release(t.Context()); err != nil {
						t.Errorf("the next: %v", err)
					}
					synctest.Wait()
					if freed != 1 {
						t.Errorf("freed %d times", freed)
					}
				})
			})
		}
	}
}
