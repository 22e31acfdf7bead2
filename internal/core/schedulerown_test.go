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

// TestAWriteIsSentByItsCaller: a write that finds nothing under way is sent by its caller, unless
// the last transaction had several writes. Writes that arrive meanwhile have senders.
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
		for _, tt := range []struct {
			keys        string
			own, others int
		}{{"abcd", 1, 2}, {"a", 0, 1}, {"a", 1, 0}, {"b", 1, 0}} {
			own, others = 0, 0
			var all sync.WaitGroup
			for _, key := range tt.keys {
				all.Go(func() { writeOwn(t, s, string(key)) })
				synctest.Wait()
			}
			all.Wait()
			synctest.Wait() // until the senders have ended
			if own != tt.own || others != tt.others {
				t.Errorf("%s: %d transactions by callers, %d by senders", tt.keys, own, others)
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
