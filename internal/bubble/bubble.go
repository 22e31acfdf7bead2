// Package bubble runs the unit tests of recipes under fake time, each on an etcd in memory.
//
// # Usage
//
//	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
//		s := bubble.Session(t, etcd)
//		…
//	})
//
// The real client and session talk to the etcd of package fakeetcd through a network in memory. A
// call that waits costs no time, and synctest.Wait returns when nothing more happens by itself.
//
// # Concurrency
//
// The functions are called from the goroutine of the test.
package bubble

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// Run runs a test in a bubble of testing/synctest with an etcd of its own.
func Run(t *testing.T, test func(t *testing.T, etcd *fakeetcd.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		test(t, fakeetcd.Start(t))
	})
}

// Session returns a session of the owner "me" with a client of its own. It is closed at the end of
// the test.
func Session(t *testing.T, etcd *fakeetcd.Server) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), etcd.Client(t), &session.Options{Name: "me"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // in some tests the server no longer answers
	})
	synctest.Wait()
	return s
}

// Within returns a context that ends after d, or with the test.
func Within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// tooMany requests are a loop that does not end.
const tooMany = 1000

// Count counts the requests for keys from now on, until the next script of the etcd. Watches and
// requests for leases, such as renewals, are not counted. After a thousand the etcd no longer
// answers, because a loop of requests would stop the fake time.
func Count(etcd *fakeetcd.Server) *atomic.Int64 {
	n := new(atomic.Int64)
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if strings.HasPrefix(c.Path, "/kv/") && n.Add(1) > tooMany {
			return c.Silence()
		}
		return c.Apply()
	})
	return n
}
