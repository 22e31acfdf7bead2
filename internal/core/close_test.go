package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/session"
)

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		errs := make(chan error, 10)
		for range cap(errs) {
			go func() { errs <- s.Close(t.Context()) }()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if len(etcd.Keys("a")) != 0 || etcd.Leases() != 0 || h.Err() == nil {
			t.Error("something is left")
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := etcd.Watches(); n != 0 {
			t.Errorf("%d watches are left", n)
		}
	})
}

// TestCloseWithEndedContext uses a context that has ended, as the context of signal.NotifyContext
// has.
func TestCloseWithEndedContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		frees, cut := open(t, etcd, nil), open(t, etcd, nil)
		if err := frees.Close(ctx); err != nil || etcd.Leases() != 1 {
			t.Errorf("Close = %v, with %d leases left", err, etcd.Leases()-1)
		}
		etcd.Freeze()
		start := time.Now()
		if err := cut.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close without etcd = %v", err)
		}
		if took := time.Since(start); took != grace.Time {
			t.Errorf("took %v", took)
		}
		etcd.Thaw()
	})
}

// TestCloseAfterLoss deletes the keys that the server still has.
func TestCloseAfterLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		hold(t, s, "a")
		etcd.Freeze()
		<-s.Context().Done()
		etcd.Thaw()
		if err := s.Close(t.Context()); err != nil || len(etcd.Keys("a")) != 0 {
			t.Errorf("Close = %v, left: %v", err, etcd.Keys("a"))
		}
		if err := s.Err(); !errors.Is(err, session.ErrExpired) {
			t.Errorf("Err = %v", err)
		}
	})
}

func TestOrphan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		hold(t, s, "a")
		s.Orphan()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(etcd.Keys("a")) != 1 || etcd.Leases() != 1 {
			t.Error("revoked")
		}
		time.Sleep(session.DefaultTTL)
		synctest.Wait()
		if etcd.Leases() != 0 {
			t.Error("renewed")
		}
	})
}

// TestCloseOfASleeper: a session that slept past its deadline does not revoke the lease if another
// process has resumed it. Otherwise it does.
func TestCloseOfASleeper(t *testing.T) {
	t.Parallel()
	for _, resumed := range []bool{true, false} {
		for lost := range 3 {
			t.Run(fmt.Sprint(resumed, lost), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					old := open(t, etcd, nil)
					hold(t, old, "a")
					etcd.BreakWatches(true)
					// the lease lives
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						c.Apply()
						return fakeetcd.Lost
					})
					<-old.Context().Done()
					etcd.Script(nil)
					etcd.BreakWatches(false)
					var s *session.Session
					if resumed {
						s = resume(t, etcd, old.Lease(), nil)
					}
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						answer := c.Apply()
						if c.N <= lost {
							return fakeetcd.Lost
						}
						return answer
					})
					if err := old.Close(t.Context()); err != nil || !errors.Is(old.Err(), session.ErrExpired) {
						t.Errorf("Close = %v, the session: %v", err, old.Err())
					}
					if left := len(etcd.Keys("a")) == 1 && etcd.Leases() == 1; left != resumed {
						t.Errorf("keys %v, %d leases", etcd.Keys("a"), etcd.Leases())
					}
					if resumed && s.Err() != nil {
						t.Error(s.Err())
					}
				})
			})
		}
	}
}

// TestCloseIsOneRequest: Close of a session that lives needs no other request than the revocation.
func TestCloseIsOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		calls := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { calls++; return c.Apply() })
		if err := s.Close(t.Context()); err != nil || calls != 1 {
			t.Errorf("Close = %v after %d requests", err, calls)
		}
	})
}
