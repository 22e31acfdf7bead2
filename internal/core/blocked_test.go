package core_test

import (
	"context"
	"errors"
	"fmt"
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

// blocked leaves a release with a put in doubt, which a full database then blocks.
func blocked(t *testing.T, etcd *fakeetcd.Server, grip *core.Releaser) {
	t.Helper()
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
	w := core.ReleaseWrite{Then: []gateway.Op{gateway.OpPut("dead/me", nil)}}
	err := grip.ReleaseWith(within(t, time.Second), w)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	etcd.Fill(true)
	etcd.Script(nil)
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

// TestTwoReleasesAfterABlockedOne: one of them is applied.
func TestTwoReleasesAfterABlockedOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		_, grip := holdKey(t, s, "claim/me", func() {})
		blocked(t, etcd, grip)
		var all sync.WaitGroup
		var won atomic.Int64
		for range 2 {
			all.Go(func() {
				err := releaseWith(within(t, time.Second), grip, gateway.OpDelete("item"))
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, session.ErrNotHeld):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := won.Load(); n != 1 {
			t.Errorf("%d were successful", n)
		}
	})
}

// TestALateCopyOfAReleaseAfterABlockedOne: it cannot delete the next incarnation of the key, which
// is free once the first release is resolved.
func TestALateCopyOfAReleaseAfterABlockedOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		var freed atomic.Bool
		_, grip := holdKey(t, s, "claim/me", func() { freed.Store(true) })
		blocked(t, etcd, grip)
		second := func(c *fakeetcd.Call) bool { return c.IsTxn("claim/me") && !c.IsTxn("dead/me") }
		var late *fakeetcd.Call
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if late == nil && second(c) {
				late = c
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		if err := grip.ReleaseWith(within(t, 5*time.Second), core.ReleaseWrite{}); err != nil {
			t.Error(err)
		}
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if second(c) {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		etcd.Fill(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !freed.Load() {
			t.Error("the key was not freed")
		}
		etcd.Put("claim/me", "next")
		late.Apply()
		if len(etcd.Keys("claim/me")) == 0 {
			t.Error("a late copy has deleted the next key")
		}
	})
}

// TestAReleaseAfterABlockedOneIsCutOff returns ErrUncertain when its context ends, and ErrNotHeld
// when the session ends.
func TestAReleaseAfterABlockedOneIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		_, grip := holdKey(t, s, "claim/me", func() {})
		blocked(t, etcd, grip)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("item") {
				return c.Silence()
			}
			return c.Apply()
		})
		err := releaseWith(within(t, time.Second), grip, gateway.OpDelete("item"))
		if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut off: %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			etcd.Revoke(s.Lease())
		}()
		err = releaseWith(within(t, 10*time.Second), grip, gateway.OpDelete("item"))
		if !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("lost: %v", err)
		}
	})
}

// ending is a context that ends when it was looked at a number of times.
type ending struct {
	context.Context
	looks atomic.Int64
}

func (c *ending) Err() error {
	if c.looks.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestAReleaseEndsAsTheDatabaseIsFull: whenever the context ends, the release is completed in the
// background, or the next one deletes the key.
func TestAReleaseEndsAsTheDatabaseIsFull(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		for looks := range int64(10) {
			t.Run(fmt.Sprint(whole, looks), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					s := open(t, etcd, nil)
					_, grip := holdKey(t, s, "claim/me", func() {})
					ctx := &ending{Context: t.Context()}
					ctx.looks.Store(looks)
					marker := gateway.OpPut("marker", nil)
					etcd.Fill(true)
					if whole {
						_ = grip.ReleaseWith(ctx, core.ReleaseWrite{Then: []gateway.Op{marker}})
					} else {
						grip.AddReleaseOps(marker)
						_ = grip.Release(ctx)
					}
					etcd.Fill(false)
					time.Sleep(5 * time.Second)
					err := grip.Release(within(t, 5*time.Second))
					if errors.Is(err, gateway.ErrUncertain) || len(etcd.Keys("claim/")) > 0 {
						t.Errorf("the next release: %v", err)
					}
				})
			})
		}
	}
}
