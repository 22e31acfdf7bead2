package barrier

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestAWaitWithAClientLeasesNothing: a wait without a session returns when the barrier is down or
// the latch is open, and only reads.
func TestAWaitWithAClientLeasesNothing(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c, done := etcd.Client(t), make(chan error, 2)
		etcd.Put("a//raised", "")
		etcd.Script(func(call *fakeetcd.Call) fakeetcd.Answer {
			if call.Path != "/kv/range" && call.Path != "/watch" {
				t.Errorf("a request for %s", call.Path)
			}
			return call.Apply()
		})
		go func() { done <- Wait(t.Context(), c, "a") }()
		go func() { done <- WaitLatch(t.Context(), c, "b", 2) }()
		synctest.Wait()
		etcd.Put("b//count", "")
		etcd.Put("a/another", "") // it is held also
		etcd.Delete("a//raised")
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("a call did not wait: %v", err)
		default:
		}
		if left, err := CountLatch(t.Context(), c, "b", 2); left != 1 || err != nil {
			t.Errorf("CountLatch = %d, %v", left, err)
		}
		etcd.Put("b//count", "")
		etcd.Delete("a/another")
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		if n := etcd.Leases(); n != 0 {
			t.Errorf("%d leases", n)
		}
	})
}

// TestAWaitWithAClientOutlivesTheSessionsOfIt: a wait with a client shares the copy of the barrier
// with a session's, and does not end with the session.
func TestAWaitWithAClientOutlivesTheSessionsOfIt(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		etcd.Put("a//raised", "")
		under, without := make(chan error, 1), make(chan error, 1)
		go func() { under <- New(s, "a").Wait(t.Context()) }()
		go func() { without <- Wait(t.Context(), s.Client(), "a") }()
		time.Sleep(time.Second)
		etcd.Revoke(s.Lease())
		if err := <-under; !errors.Is(err, session.ErrLost) {
			t.Errorf("under the session: %v", err)
		}
		etcd.Delete("a//raised")
		if err := <-without; err != nil {
			t.Errorf("without one: %v", err)
		}
	})
}

// TestABadArgumentOfAWaitWithAClient: names, numbers and clients that cannot be used are errors, as
// is a declaration of another number.
func TestABadArgumentOfAWaitWithAClient(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		ctx, c := t.Context(), etcd.Client(t)
		etcd.Put("l//parties", "latch 3")
		ended, cancel := context.WithCancel(ctx)
		cancel()
		etcd.Put("up//raised", "")
		count := func(ctx context.Context, c *gateway.Client, name string, n int) error {
			_, err := CountLatch(ctx, c, name, n)
			return err
		}
		for what, row := range map[string]struct{ got, want error }{
			"no client":     {Wait(ctx, nil, "a"), gateway.ErrInvalid},
			"no latch's":    {WaitLatch(ctx, nil, "a", 1), gateway.ErrInvalid},
			"no name":       {Wait(ctx, c, ""), gateway.ErrInvalid},
			"a slash":       {Wait(ctx, c, "a/"), gateway.ErrInvalid},
			"two slashes":   {WaitLatch(ctx, c, "a//b", 1), gateway.ErrInvalid},
			"records":       {Wait(ctx, c, "holdfast/sessions/a"), gateway.ErrInvalid},
			"delays":        {Wait(ctx, c, "holdfast/delay/a"), gateway.ErrInvalid},
			"no counts":     {WaitLatch(ctx, c, "a", 0), gateway.ErrInvalid},
			"none to count": {count(ctx, c, "a", 0), gateway.ErrInvalid},
			"two of three":  {WaitLatch(ctx, c, "l", 2), ErrConfigMismatch},
			"counted":       {count(ctx, c, "l", 2), ErrConfigMismatch},
			"over":          {Wait(ended, c, "up"), context.Canceled},
			"open":          {WaitLatch(ended, c, "l", 3), context.Canceled},
		} {
			if !errors.Is(row.got, row.want) {
				t.Errorf("%s: %v", what, row.got)
			}
		}
	})
}
