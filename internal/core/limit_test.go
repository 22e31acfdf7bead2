package core_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

const most = 10 * time.Second // the limit of the holds in these tests

// limited returns a hold with a limit.
func limited(t *testing.T, s *session.Session, key string) held {
	t.Helper()
	h := hold(t, s, key)
	h.grip.Limit(most)
	synctest.Wait()
	return h
}

// exists reports whether the key exists when nothing more happens by itself.
func exists(etcd *fakeetcd.Server, key string) bool {
	synctest.Wait()
	_, ok := etcd.Get(key)
	return ok
}

// TestAHungHoldLosesItsContextThenItsKey: other holds of the session live on.
func TestAHungHoldLosesItsContextThenItsKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h, other := limited(t, s, "a"), hold(t, s, "b")
		if left := time.Until(h.Deadline()); left > most {
			t.Errorf("the deadline is in %v", left)
		}
		time.Sleep(most - time.Millisecond)
		synctest.Wait()
		if h.Context().Err() != nil || h.Err() != nil {
			t.Errorf("too early: %v", h.Err())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if err := context.Cause(h.Context()); !errors.Is(err, session.ErrOverdue) ||
			!errors.Is(err, session.ErrLost) || !errors.Is(h.Err(), session.ErrOverdue) {
			t.Errorf("the cause is %v, Err = %v", err, h.Err())
		}
		if !exists(etcd, "a") {
			t.Error("the key is gone before the grace is over")
		}
		rev := etcd.Revision()
		_, err := h.Txn(t.Context(), gateway.Txn{Then: []gateway.Op{gateway.OpPut("x", nil)}})
		if !errors.Is(err, session.ErrNotHeld) || etcd.Revision() != rev {
			t.Errorf("Txn = %v", err)
		}
		if err := h.Progress(); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Progress = %v", err)
		}
		time.Sleep(core.OverdueGrace)
		if exists(etcd, "a") || h.free.Load() != 1 {
			t.Errorf("the key is there, or was freed %d times", h.free.Load())
		}
		if err := h.grip.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Release = %v", err)
		}
		if s.Err() != nil || other.Err() != nil || !exists(etcd, "b") {
			t.Errorf("the session: %v, another hold: %v", s.Err(), other.Err())
		}
	})
}

// TestAHoldWithProgressIsNeverOverdue: a hold whose work makes progress within the limit never ends
// by it, and one whose work stops ends the limit after the last progress. 1,000 rounds.
func TestAHoldWithProgressIsNeverOverdue(t *testing.T) {
	t.Parallel()
	for range 20 { // because a test in fake time has an hour
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s := open(t, etcd, nil)
			for range 50 {
				progressAtRandom(t, etcd, s)
			}
		})
	}
}

func progressAtRandom(t *testing.T, etcd *fakeetcd.Server, s *session.Session) {
	t.Helper()
	h := limited(t, s, "a")
	last := time.Now()
	for range rand.IntN(5) {
		time.Sleep(rand.N(most))
		if err := h.Progress(); err != nil {
			t.Fatalf("Progress = %v", err)
		}
		last = time.Now()
	}
	if rand.IntN(2) > 0 {
		if err := h.grip.Release(t.Context()); err != nil {
			t.Fatalf("Release = %v", err)
		}
		return
	}
	<-h.Context().Done()
	if took := time.Since(last); took != most || !errors.Is(h.Err(), session.ErrOverdue) {
		t.Fatalf("ended %v after the last progress: %v", took, h.Err())
	}
	if time.Sleep(core.OverdueGrace); exists(etcd, "a") {
		t.Fatal("the key is there after the grace")
	}
}

// TestAReleaseWithinTheGraceDeletesTheKeyAtOnce, because the work has stopped.
func TestAReleaseWithinTheGraceDeletesTheKeyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		h := limited(t, open(t, etcd, nil), "a")
		<-h.Context().Done()
		err := h.grip.Release(t.Context())
		if !errors.Is(err, session.ErrNotHeld) || !errors.Is(err, session.ErrOverdue) {
			t.Errorf("Release = %v", err)
		}
		if exists(etcd, "a") || h.free.Load() != 1 {
			t.Errorf("the key is there, or was freed %d times", h.free.Load())
		}
		time.Sleep(2 * core.OverdueGrace)
		synctest.Wait()
		if h.free.Load() != 1 {
			t.Errorf("freed %d times", h.free.Load())
		}
	})
}

// TestALimitDoesNotDisturbARelease that is under way when the limit is over.
func TestALimitDoesNotDisturbARelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		h := limited(t, open(t, etcd, nil), "a")
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("a") {
				c.Sleep(2 * time.Second)
			}
			return c.Apply()
		})
		time.Sleep(most - time.Second)
		if err := h.grip.Release(t.Context()); err != nil {
			t.Errorf("Release = %v", err)
		}
		if err := h.Err(); !errors.Is(err, session.ErrReleased) {
			t.Errorf("Err = %v", err)
		}
		time.Sleep(2 * most)
		synctest.Wait()
		if h.free.Load() != 1 {
			t.Errorf("freed %d times", h.free.Load())
		}
	})
}

// TestTheKeyOfAnOverdueHoldGoesAfterLostAnswers.
func TestTheKeyOfAnOverdueHoldGoesAfterLostAnswers(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		t.Run(loss.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				h := limited(t, s, "a")
				<-h.Context().Done()
				first := true
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.IsTxn("a") && first {
						first = false
						return loss.lose(c)
					}
					return c.Apply()
				})
				time.Sleep(10 * time.Second)
				if exists(etcd, "a") || h.free.Load() != 1 || s.Err() != nil {
					t.Errorf("the key is there, freed %d times, %v", h.free.Load(), s.Err())
				}
			})
		})
	}
}

// TestASessionThatIsLostBeforeTheLimitIsTheCause, and nothing is written for the limit.
func TestASessionThatIsLostBeforeTheLimitIsTheCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := limited(t, s, "a")
		time.Sleep(most - 2*time.Second)
		etcd.Revoke(s.Lease())
		<-h.Context().Done()
		time.Sleep(2 * most)
		if err := h.Err(); !errors.Is(err, session.ErrLost) || errors.Is(err, session.ErrOverdue) {
			t.Errorf("Err = %v", err)
		}
	})
}

// TestTheTimeOfAGrantIsShown while the hold has its key.
func TestTheTimeOfAGrantIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		began := time.Now()
		h := limited(t, s, "a")
		plain := hold(t, s, "b")
		before := etcd.Revision()
		if time.Sleep(time.Second - 1); etcd.Revision() != before {
			t.Error("written for a hold that may be short")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		since, err := core.HeldSince(t.Context(), core.Of(s), []core.HeldKey{
			{Key: "a", Fence: h.Fence(), Lease: s.Lease()},
			{Key: "a", Fence: h.Fence() - 1, Lease: s.Lease()},
			{Key: "b", Fence: plain.Fence(), Lease: s.Lease()},
		})
		if err != nil || !since[0].Equal(began) || !since[1].IsZero() || !since[2].IsZero() {
			t.Errorf("since %v, %v, want %v", since, err, began)
		}
		if err := h.grip.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if keys := etcd.Keys("holdfast/sessions/"); len(keys) != 1 {
			t.Errorf("left: %q", keys)
		}
	})
}
