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
)

// TestALineApartHasItsTurn: a write of a line that is kept out of batches is sent soon although
// other lines keep the session busy.
func TestALineApartHasItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refuse := true
		g := newCrowd(t, func(_ int, c *fakeetcd.Call) fakeetcd.Answer {
			if refuse && c.IsTxn("x/1") {
				return fakeetcd.Denied()
			}
			c.Sleep(busy)
			return c.Apply()
		})
		first := g.write(t.Context(), "x/1", "x/", nil)
		g.write(t.Context(), "y/1", "y/", nil)
		g.all.Wait()
		if !errors.Is(*first, gateway.ErrPermissionDenied) {
			t.Fatal(*first)
		}
		refuse = false
		ctx, stop := context.WithCancel(t.Context())
		for i := range 2 * maxCommits { // there is always a transaction under way
			g.all.Go(func() {
				for ctx.Err() == nil {
					_, _ = core.Of(g.s).Write(t.Context(), sharing(g.s, fmt.Sprint("z/", i), ""))
				}
			})
			time.Sleep(busy / 3)
		}
		w := sharing(g.s, "x/2", "x/")
		began := time.Now()
		if _, err := core.Of(g.s).Write(within(t, time.Minute), w); err != nil ||
			time.Since(began) > 10*busy {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		stop()
		g.all.Wait()
	})
}

// TestOthersHaveTheirTurnBesideALineApart: a write is sent soon although a line that is kept out of
// batches keeps the session busy.
func TestOthersHaveTheirTurnBesideALineApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var allow atomic.Bool
		g := newCrowd(t, func(_ int, c *fakeetcd.Call) fakeetcd.Answer {
			if !allow.Load() && c.IsTxn("x/1") {
				return fakeetcd.Denied()
			}
			c.Sleep(busy)
			return c.Apply()
		})
		g.write(t.Context(), "x/1", "x/", nil)
		g.write(t.Context(), "y/1", "y/", nil)
		g.all.Wait()
		allow.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		for i := range 2 * maxCommits { // there is always a transaction under way
			g.all.Go(func() {
				for ctx.Err() == nil {
					_, _ = core.Of(g.s).Write(t.Context(), sharing(g.s, fmt.Sprint("x/", i), "x/"))
				}
			})
			time.Sleep(busy / 3)
		}
		w := sharing(g.s, "z/1", "z/")
		began := time.Now()
		if _, err := core.Of(g.s).Write(within(t, time.Minute), w); err != nil ||
			time.Since(began) > 10*busy {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		stop()
		g.all.Wait()
	})
}

// TestCallersWhoseTurnsAlternateShareTransactions: three callers write again a moment after each
// answer. They began in two transactions, and soon share each one.
func TestCallersWhoseTurnsAlternateShareTransactions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		var sizes []int
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				c.Sleep(4 * time.Millisecond)
				sizes = append(sizes, puts(c))
			}
			return c.Apply()
		})
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				for range 5 {
					_, err := core.Of(s).Write(t.Context(), weighted(put(s, fmt.Sprint("key", i))))
					if err != nil {
						t.Error(err)
					}
					time.Sleep(100 * time.Microsecond)
				}
			})
			synctest.Wait() // so that the first one is alone
		}
		all.Wait()
		if len(sizes) > 7 {
			t.Errorf("the sizes of the transactions are %v", sizes)
		}
	})
}

// TestAnnouncedWritesShareATransaction: the first of two announced writes waits for the second, or
// until it is withdrawn, and for a share of the last transaction's time at most.
func TestAnnouncedWritesShareATransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const takes = 2 * time.Millisecond
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		var sizes []int
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				c.Sleep(takes)
				sizes = append(sizes, puts(c))
			}
			return c.Apply()
		})
		var all sync.WaitGroup
		write := func(key string) {
			all.Go(func() {
				if _, err := core.Of(s).Write(t.Context(), weighted(put(s, key))); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		write("first")
		all.Wait()
		for want, then := range map[time.Duration]func(){
			takes + takes/8: func() { time.Sleep(takes / 8); write("second") },
			takes:           func() { core.Unexpect(core.Of(s)) },
			takes + takes/4: func() {},
		} {
			sizes = nil
			begin := time.Now()
			core.Expect(core.Of(s), 2)
			write("first")
			then()
			all.Wait()
			if took := time.Since(begin); took != want || len(sizes) != 1 {
				t.Errorf("%v, not %v; transactions of %v", took, want, sizes)
			}
		}
	})
}
