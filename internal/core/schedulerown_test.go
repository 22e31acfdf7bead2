package core_test

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

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

func writeOwn(t *testing.T, s *session.Session, key string) {
	t.Helper()
	out, err := core.Of(s).Write(t.Context(), sharing(s, key, ""))
	if err != nil || !out.Applied {
		t.Errorf("%s: %+v, %v", key, out, err)
	}
}
