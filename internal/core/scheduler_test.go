package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// sharing is a write that may share a transaction with others.
func sharing(s *session.Session, key, line string) core.Write {
	w := put(s, key)
	w.Key, w.Line = key, line
	return w
}

// crowd lets writes wait behind two transactions that are under way, for as long as the server
// takes for those. A script answers the transactions after them.
type crowd struct {
	t    *testing.T
	etcd *fakeetcd.Server
	s    *session.Session
	all  sync.WaitGroup

	mu   sync.Mutex
	sent []*fakeetcd.Call // after the two
}

const (
	busy       = 200 * time.Millisecond
	maxCommits = 2
)

// newCrowd returns a crowd in which answer answers the nth transaction after the first two. A nil
// answer applies all.
func newCrowd(t *testing.T, answer func(n int, c *fakeetcd.Call) fakeetcd.Answer) *crowd {
	t.Helper()
	etcd := fakeetcd.Start(t)
	g := &crowd{t: t, etcd: etcd, s: open(t, etcd, nil)}
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		switch {
		case c.Path != "/kv/txn":
		case c.IsTxn("busy1"): // a little longer, so that the leaders write one after the other
			c.Sleep(busy * 3 / 2)
		case c.IsTxn("busy0"):
			c.Sleep(busy)
		default:
			g.mu.Lock()
			g.sent = append(g.sent, c)
			n := len(g.sent)
			g.mu.Unlock()
			if answer != nil {
				return answer(n, c)
			}
		}
		return c.Apply()
	})
	g.busy()
	return g
}

// busy sends the first two.
func (g *crowd) busy() {
	for i := range maxCommits {
		g.write(g.t.Context(), fmt.Sprint("busy", i), "", nil)
	}
}

func (g *crowd) write(
	ctx context.Context, key, line string, settled chan struct{},
) (result *error) {
	result = new(error)
	w := sharing(g.s, key, line)
	if settled != nil {
		w.OnResolved = func() { settled <- struct{}{} }
	}
	g.all.Go(func() {
		var out core.Outcome
		out, *result = core.Of(g.s).Write(ctx, w)
		if *result == nil &&
			(!out.Applied || len(out.Responses) != 1 || out.Responses[0].Put == nil || out.Revision == 0) {
			g.t.Errorf("write of %s = %+v", key, out)
		}
	})
	synctest.Wait() // so that they wait in order
	return result
}

// calls returns the transactions so far.
func (g *crowd) calls() []*fakeetcd.Call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.sent)
}

// with counts the transactions that contain all these keys.
func (g *crowd) with(keys ...string) (n int) {
	for _, c := range g.calls() {
		all := true
		for _, key := range keys {
			all = all && c.IsTxn(key)
		}
		if all {
			n++
		}
	}
	return n
}

func (g *crowd) there(keys ...string) {
	g.t.Helper()
	for _, key := range keys {
		if _, ok := g.etcd.Get(key); !ok {
			g.t.Errorf("%s was not written", key)
		}
	}
}

func puts(c *fakeetcd.Call) int { return strings.Count(string(c.Body), "request_put") }

// TestWhatWaitsGoesTogether, in halves: each transaction leaves some writes for the other.
func TestWhatWaitsGoesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newCrowd(t, func(_ int, c *fakeetcd.Call) fakeetcd.Answer {
			c.Sleep(busy)
			return c.Apply()
		})
		for i := range 20 {
			g.write(t.Context(), fmt.Sprintf("key%02d", i), fmt.Sprintf("line%d", i), nil)
		}
		if len(g.calls()) != 0 {
			t.Errorf("%d transactions while two are under way", len(g.calls()))
		}
		g.all.Wait()
		if len(g.calls()) != 2 || g.with("key00", "key10") != 1 || g.with("key11", "key19") != 1 {
			t.Errorf("20 writes took %d transactions", len(g.calls()))
		}
		for i := range 20 {
			g.there(fmt.Sprintf("key%02d", i))
		}
	})
}

func TestNothingWaitsForOthersToCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		begin := time.Now()
		if _, err := core.Of(s).Write(t.Context(), sharing(s, "a", "")); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("a lone write took %v", took)
		}
	})
}

// TestWhatMustNotGoTogether: members of one line, which would have the same place, and two writes
// of one key.
func TestWhatMustNotGoTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		key1, key2 string
		line       string
	}{{"one line", "a1", "a2", "a/"}, {"one key", "a", "a", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newCrowd(t, nil)
				g.write(t.Context(), tt.key1, tt.line, nil)
				g.write(t.Context(), tt.key2, tt.line, nil)
				g.write(t.Context(), "beta", "beta/", nil)
				g.all.Wait()
				if len(g.calls()) != 2 || g.with("beta") != 1 {
					t.Errorf("%d transactions", len(g.calls()))
				}
				for _, c := range g.calls() {
					if n := puts(c); n > 2 {
						t.Errorf("%d puts in %s", n, c.Body)
					}
				}
				g.there(tt.key1, tt.key2, "beta")
			})
		})
	}
}

func TestABatchIsNoLargerThanEtcdTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newCrowd(t, func(_ int, c *fakeetcd.Call) fakeetcd.Answer {
			if puts(c) > 10 { // --max-txn-ops
				return fakeetcd.Error(
					gateway.CodeInvalidArgument, "etcdserver: too many operations in txn request")
			}
			return c.Apply()
		})
		before := 0
		for round := range 3 {
			before = len(g.calls())
			for i := range 40 {
				g.write(t.Context(), fmt.Sprintf("key%d-%02d", round, i), "", nil)
			}
			g.all.Wait()
			for i := range 40 {
				g.there(fmt.Sprintf("key%d-%02d", round, i))
			}
			g.busy()
		}
		g.all.Wait()
		// The rejected writes are sent one by one, and later batches are half as large: 21, 10. The
		// last batches share the remaining writes.
		if n := len(g.calls()) - before; n != 5 {
			t.Errorf("40 writes took %d transactions", n)
		}
	})
}

// TestOneRefusedOfMany: a write that the server rejects does not fail the others in its
// transaction, and its line is sent alone later.
func TestOneRefusedOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newCrowd(t, func(_ int, c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("forbidden") {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		for range 2 {
			g.write(t.Context(), "alpha", "alpha/", nil)
			bad := g.write(t.Context(), "forbidden", "forbidden/", nil)
			good := g.write(t.Context(), "beta", "beta/", nil)
			g.all.Wait()
			if *good != nil || !errors.Is(*bad, gateway.ErrPermissionDenied) ||
				errors.Is(*bad, gateway.ErrUncertain) {
				t.Errorf("%v, %v", *bad, *good)
			}
			g.there("alpha", "beta")
			g.busy()
		}
		g.all.Wait()
		if n := g.with("forbidden", "alpha"); n != 1 {
			t.Errorf("%d batches were spoiled", n)
		}
	})
}

// TestLostAnswersToABatch: each write returns that it was applied, in each way of losing the
// answer, and no late copy is applied.
func TestLostAnswersToABatch(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		t.Run(loss.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newCrowd(t, func(n int, c *fakeetcd.Call) fakeetcd.Answer {
					if n == 1 {
						return loss.lose(c)
					}
					return c.Apply()
				})
				var results []*error
				for i := range 4 {
					results = append(results, g.write(t.Context(), fmt.Sprint("key", i), "", nil))
				}
				g.all.Wait()
				for _, err := range results {
					if *err != nil {
						t.Error(*err)
					}
				}
				if len(g.calls()) != 2 {
					t.Errorf("%d transactions", len(g.calls()))
				}
				g.there("key0", "key3")
				for i := range 4 {
					g.etcd.Delete(fmt.Sprint("key", i))
				}
				g.calls()[0].Apply()
				if keys := g.etcd.Keys("key"); len(keys) > 0 {
					t.Errorf("a copy was applied: %v", keys)
				}
			})
		})
	}
}

// TestBatchesAfterOneTooLarge: a batch that was rejected for its bytes does not limit the
// operations of later batches.
func TestBatchesAfterOneTooLarge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		large := strings.Repeat("x", 100)
		g := newCrowd(t, func(_ int, c *fakeetcd.Call) fakeetcd.Answer {
			c.Sleep(busy)
			if c.IsTxn(large) {
				return fakeetcd.Error(gateway.CodeInvalidArgument, "etcdserver: request is too large")
			}
			return c.Apply()
		})
		g.all.Wait()
		for range 4 {
			g.busy()
			bad := g.write(t.Context(), large, "", nil)
			g.write(t.Context(), "good", "", nil)
			g.all.Wait()
			if !errors.Is(*bad, gateway.ErrInvalid) {
				t.Error(*bad)
			}
		}
		before := len(g.calls())
		g.busy()
		for i := range 20 {
			g.write(t.Context(), fmt.Sprint("b", i), "", nil)
		}
		g.all.Wait()
		if n := len(g.calls()) - before; n > 2*maxCommits {
			t.Errorf("20 writes in %d transactions", n)
		}
	})
}

// TestWeightedBatchesShrinkToWhatEtcdTakes: the weight of later batches is halved, too, although
// each write has more operations than weight.
func TestWeightedBatchesShrinkToWhatEtcdTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rejected := 0
		g := newCrowd(t, func(_ int, c *fakeetcd.Call) fakeetcd.Answer {
			c.Sleep(busy)
			if puts(c) > 60 { // --max-txn-ops; for nested transactions, too, to keep it simple
				rejected++
				return fakeetcd.Error(
					gateway.CodeInvalidArgument, "etcdserver: too many operations in txn request")
			}
			return c.Apply()
		})
		for range 4 {
			rejected = 0
			for i := range 60 {
				w := core.Write{Weight: 1}
				for j := range 3 {
					w.Then = append(w.Then, gateway.OpPut(fmt.Sprintf("key%d/%d", i, j), nil))
				}
				g.all.Go(func() {
					if _, err := core.Of(g.s).Write(t.Context(), w); err != nil {
						t.Error(err)
					}
				})
			}
			g.all.Wait()
			synctest.Wait()
		}
		if rejected > 0 {
			t.Errorf("%d transactions were rejected in the end", rejected)
		}
	})
}
