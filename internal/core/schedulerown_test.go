package core_test

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestAWriteIsSentByItsCaller if nothing is under way. Writes that arrive meanwhile have senders,
// and the next write after them is sent by its caller again.
func TestAWriteIsSentByItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		var mu sync.Mutex
		own, others := 0, 0
		config := etcd.Config()
		config.Hooks.Attempt = func(_ context.Context, a gateway.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			switch stack := string(debug.Stack()); {
			case a.Op != "txn":
			case strings.Contains(stack, "writeOwn(") && !strings.Contains(stack, "sendWrites("):
				own++
			default:
				others++
			}
		}
		c, err := gateway.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := session.New(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(t.Context()) }()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			c.Sleep(busy)
			return c.Apply()
		})
		for range 2 {
			own, others = 0, 0
			var all sync.WaitGroup
			for _, key := range []string{"a", "b", "c", "d"} {
				all.Go(func() { writeOwn(t, s, key) })
				synctest.Wait()
			}
			all.Wait()
			synctest.Wait() // until the senders have ended
			if own != 1 || others != 2 {
				t.Errorf("%d transactions by callers, %d by senders", own, others)
			}
		}
	})
}

// TestAHookPanicsInACallersWrite: the write is undone, a deferred deletion that was sent with it is
// repeated, and the writes after it are sent.
func TestAHookPanicsInACallersWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		var armed atomic.Bool
		config := etcd.Config()
		config.Hooks.Attempt = func(_ context.Context, a gateway.Attempt) {
			if a.Op == "txn" && armed.Swap(false) {
				panic("a hook")
			}
		}
		c, err := gateway.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := session.New(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(t.Context()) }()
		writeOwn(t, s, "held")
		held, _ := etcd.Get("held")
		_, grip := core.Of(s).Hold("held", held.CreateRevision, func() {})
		grip.Defer()
		if err := grip.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			writeOwn(t, s, "key")
		}()
		synctest.Wait()
		if keys := append(etcd.Keys("held"), etcd.Keys("key")...); len(keys) > 0 {
			t.Errorf("left: %q", keys)
		}
		w := sharing(s, "later", "")
		w.MayLinger = true
		if _, err := core.Of(s).Write(within(t, time.Minute), w); err != nil {
			t.Errorf("the next write: %v", err)
		}
	})
}

func writeOwn(t *testing.T, s *session.Session, key string) {
	t.Helper()
	out, err := core.Of(s).Write(t.Context(), sharing(s, key, ""))
	if err != nil || !out.Applied {
		t.Errorf("%s: %+v, %v", key, out, err)
	}
}
