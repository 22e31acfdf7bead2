package core_test

import (
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

// TestRefusedCleanUpsKeepNothingBack: the server rejects the deletion of 200 keys, for ever. Later
// writes are resolved at once, and in the end the 200 cost one transaction a second. When the
// deletions are allowed again, all keys are deleted.
func TestRefusedCleanUpsKeepNothingBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		const refused = 200
		for i := range refused {
			etcd.Put(fmt.Sprintf("denied/%d", i), "")
		}
		var calls atomic.Int64
		var allow atomic.Bool
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				calls.Add(1)
			}
			if !allow.Load() && c.IsTxn("denied/") {
				c.Sleep(5 * time.Millisecond)
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		for i := range refused {
			core.Of(s).Compensate(core.Write{Compensation: core.Deletion(fmt.Sprintf("denied/%d", i))})
		}
		time.Sleep(50 * time.Millisecond)
		for _, after := range []time.Duration{0, 10 * time.Second} {
			time.Sleep(after)
			etcd.Put("good", "")
			core.Of(s).Compensate(core.Write{Compensation: core.Deletion("good")})
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			if _, ok := etcd.Get("good"); ok {
				t.Errorf("after %v: a new one waits behind those that are refused", after)
			}
		}
		before := calls.Load()
		time.Sleep(time.Minute)
		if n := calls.Load() - before; n > 120 {
			t.Errorf("%d transactions in a minute", n)
		}
		allow.Store(true)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if left := etcd.Keys("denied/"); len(left) > 0 {
			t.Errorf("%d keys are left", len(left))
		}
	})
}

// TestSettleGoesOn: a compensation that was rejected is tried again.
func TestSettleGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case c.Path != "/kv/txn" || c.N > 4:
				return c.Apply()
			case c.N == 1:
				c.Apply()
				return c.Silence()
			}
			return fakeetcd.Denied()
		})
		settled := false
		w := put(s, "a")
		w.OnResolved = func() { settled = true }
		_, err := core.Of(s).Write(within(t, 500*time.Millisecond), w)
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Write = %v", err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, ok := etcd.Get("a"); ok || !settled {
			t.Errorf("key is there: %v; settled: %v", ok, settled)
		}
	})
}

func TestSettleEndsWithTheSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				return c.Silence()
			}
			return c.Apply()
		})
		w := put(s, "a")
		w.OnResolved = func() { t.Error("settled") }
		if _, err := core.Of(s).Write(within(t, time.Second), w); !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Write = %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := core.Of(s).Write(t.Context(), w); !errors.Is(err, session.ErrClosed) {
			t.Errorf("Write after Close = %v", err)
		}
		time.Sleep(time.Minute)
	})
}
