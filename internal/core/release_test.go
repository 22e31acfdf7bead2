package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/session"
)

func TestRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		kv, _ := etcd.Get("a")
		if h.Fence() != kv.CreateRevision || h.Key() != "a" || h.Err() != nil ||
			!h.Deadline().Equal(s.Deadline()) {
			t.Errorf("fence %d, key %s, %v", h.Fence(), h.Key(), h.Err())
		}
		if err := h.grip.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if err := context.Cause(h.Context()); !errors.Is(err, session.ErrReleased) ||
			!errors.Is(h.Err(), session.ErrReleased) {
			t.Errorf("cause = %v, Err = %v", err, h.Err())
		}
		if _, ok := etcd.Get("a"); ok {
			t.Error("the key is there")
		}
		rev := etcd.Revision()
		if err := h.grip.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("second = %v", err)
		}
		if etcd.Revision() != rev || h.free.Load() != 1 {
			t.Errorf("the second wrote, or freed: %d times", h.free.Load())
		}
	})
}

// TestReleaseWithTheContextOfTheHold: a release whose context is the hold's own, which it ends, or
// derived from that, returns the outcome.
func TestReleaseWithTheContextOfTheHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		for _, timeout := range []time.Duration{time.Minute, 0} {
			h := hold(t, s, "a")
			ctx := h.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			if err := h.grip.Release(ctx); err != nil || !errors.Is(ctx.Err(), context.Canceled) {
				t.Errorf("Release = %v, the context: %v", err, ctx.Err())
			}
			if _, ok := etcd.Get("a"); ok {
				t.Error("the key is there")
			}
		}
	})
}

// TestReleaseIsOfTheOwnHold: after a second hold of the same key, the first cannot release it any
// more.
func TestReleaseIsOfTheOwnHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		first := hold(t, s, "a")
		if err := first.grip.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := hold(t, s, "a")
		if err := first.grip.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Release = %v", err)
		}
		_, err := first.Txn(t.Context(), gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", nil)}})
		if !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Txn = %v", err)
		}
		if _, ok := etcd.Get("a"); !ok || second.Err() != nil || second.Fence() <= first.Fence() {
			t.Error("the second hold is gone")
		}
	})
}

func TestReleaseConcurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			c.Sleep(10 * time.Millisecond)
			return c.Apply()
		})
		const n = 20
		errs := make(chan error, n)
		for range n {
			go func() { errs <- h.grip.Release(t.Context()) }()
		}
		won := 0
		for range n {
			if err := <-errs; err == nil {
				won++
			} else if !errors.Is(err, session.ErrNotHeld) {
				t.Error(err)
			}
		}
		if won != 1 || h.free.Load() != 1 {
			t.Errorf("%d successes, freed %d times", won, h.free.Load())
		}
	})
}

func TestReleaseAfterLostAnswers(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		t.Run(loss.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				h := hold(t, s, "a")
				var first *fakeetcd.Call
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if first == nil {
						first = c
						return loss.lose(c)
					}
					return c.Apply()
				})
				if err := h.grip.Release(t.Context()); err != nil {
					t.Errorf("Release = %v", err)
				}
				second := hold(t, s, "a")
				first.Apply() // a late copy
				time.Sleep(10 * time.Second)
				if _, ok := etcd.Get("a"); !ok || second.Err() != nil {
					t.Errorf("the second hold was ended: %v", second.Err())
				}
			})
		})
	}
}

func TestReleaseCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
		for range 2 {
			err := h.grip.Release(within(t, 500*time.Millisecond))
			if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Release = %v", err)
			}
		}
		if h.Context().Err() == nil {
			t.Error("its context lives")
		}
		etcd.Script(nil)
		if err := h.grip.Release(t.Context()); err != nil {
			t.Errorf("repeated = %v", err)
		}
		if _, ok := etcd.Get("a"); ok || h.free.Load() != 1 {
			t.Errorf("the key is there: %v; freed %d times", ok, h.free.Load())
		}
		if err := h.grip.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("once more = %v", err)
		}
	})
}

// TestReleaseWithEndedContext: Release deletes the key although its context has ended.
func TestReleaseWithEndedContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.grip.Release(ctx); err != nil {
			t.Errorf("Release = %v", err)
		}
		if _, ok := etcd.Get("a"); ok || h.free.Load() != 1 {
			t.Error("not removed")
		}
		if err := h.grip.Release(ctx); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("repeated = %v", err)
		}

		h = hold(t, s, "b")
		etcd.Freeze()
		start := time.Now()
		for range 2 {
			if err := h.grip.Release(ctx); !errors.Is(err, gateway.ErrUncertain) ||
				!errors.Is(err, context.Canceled) {
				t.Errorf("Release without etcd = %v", err)
			}
		}
		if took := time.Since(start); took != 2*grace.Time {
			t.Errorf("two took %v", took)
		}
		etcd.Thaw()
		if err := h.grip.Release(ctx); err != nil { // completed in the background, or now
			t.Errorf("repeated = %v", err)
		}
	})
}

// TestAbandon releases in the background.
func TestAbandon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		h := hold(t, open(t, etcd, nil), "a")
		etcd.Freeze()
		start := time.Now()
		h.grip.Abandon(t.Context())
		if took := time.Since(start); took > 0 || !errors.Is(h.Err(), session.ErrReleased) {
			t.Errorf("took %v: %v", took, h.Err())
		}
		etcd.Thaw()
		time.Sleep(2 * time.Second)
		if _, ok := etcd.Get("a"); ok || h.free.Load() != 1 {
			t.Error("not removed in the background")
		}
	})
}

func TestReleaseCutOffByTheSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		etcd.Freeze()
		if err := h.grip.Release(within(t, time.Second)); !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Release = %v", err)
		}
		if err := h.grip.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) ||
			!errors.Is(err, session.ErrExpired) {
			t.Errorf("repeated = %v", err)
		}
	})
}

// TestReleaseRefused: a release that the server rejected may be repeated.
func TestReleaseRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
		for range 3 {
			if err := h.grip.Release(t.Context()); !errors.Is(err, gateway.ErrPermissionDenied) ||
				errors.Is(err, session.ErrNotHeld) {
				t.Errorf("Release = %v", err)
			}
		}
		etcd.Script(nil)
		if err := h.grip.Release(t.Context()); err != nil || h.free.Load() != 1 {
			t.Errorf("Release = %v, freed %d times", err, h.free.Load())
		}
	})
}

func TestReleaseOfWhatIsLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		lose  func(t *testing.T, etcd *fakeetcd.Server, s *session.Session)
		cause error
		freed int32
	}{
		{"revoked", func(_ *testing.T, etcd *fakeetcd.Server, s *session.Session) {
			etcd.Revoke(s.Lease())
		}, session.ErrRevoked, 0},
		{"record deleted", func(_ *testing.T, etcd *fakeetcd.Server, s *session.Session) {
			etcd.Delete(record(s))
		}, session.ErrRevoked, 0},
		{"closed", func(t *testing.T, _ *fakeetcd.Server, s *session.Session) {
			t.Helper()
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}, session.ErrClosed, 0},
		{"removed, not yet noticed", func(_ *testing.T, etcd *fakeetcd.Server, _ *session.Session) {
			etcd.Delete("a")
		}, session.ErrKeyDeleted, 1},
		{"removed, noticed", func(_ *testing.T, etcd *fakeetcd.Server, _ *session.Session) {
			time.Sleep(2 * time.Second)
			etcd.Delete("a")
		}, session.ErrKeyDeleted, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				h := hold(t, s, "a")
				tt.lose(t, etcd, s)
				synctest.Wait()
				for i := range 2 {
					err := h.grip.Release(t.Context())
					if !errors.Is(err, session.ErrNotHeld) {
						t.Errorf("Release = %v", err)
					}
					if i == 0 && (!errors.Is(err, tt.cause) || !errors.Is(err, session.ErrLost)) {
						t.Errorf("first Release = %v", err)
					}
				}
				if h.free.Load() != tt.freed {
					t.Errorf("freed %d times", h.free.Load())
				}
			})
		})
	}
}

// TestReleaseWithMore: the other operations of a release are applied once, and only with the
// deletion of its own key.
func TestReleaseWithMore(t *testing.T) {
	t.Parallel()
	for _, removed := range []bool{false, true} {
		for lost := range 3 {
			t.Run(fmt.Sprintf("removed=%v/%d", removed, lost), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					s := open(t, etcd, nil)
					h := hold(t, s, "a")
					h.grip.AddReleaseOps(gateway.OpPut("marker", []byte("x")))
					if removed {
						etcd.Delete("a")
					}
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.N <= lost {
							c.Apply()
							return fakeetcd.Lost
						}
						return c.Apply()
					})
					err := h.grip.Release(t.Context())
					// After a lost answer the release cannot know that another client has deleted
					// the key.
					if notHeld := removed && lost == 0; errors.Is(err, session.ErrNotHeld) != notHeld ||
						err != nil && !notHeld {
						t.Errorf("Release = %v", err)
					}
					if kv, ok := etcd.Get("marker"); ok == removed || ok && kv.Version != 1 {
						t.Errorf("marker = %+v, %v", kv, ok)
					}
				})
			})
		}
	}
}
