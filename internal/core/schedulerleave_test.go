package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestCallersOfABatchLeave: contexts of callers, also of the leader, end while the batch is under
// way. Each returns at once and its write is undone in time. The others are not affected.
func TestCallersOfABatchLeave(t *testing.T) {
	t.Parallel()
	for _, leaving := range [][]int{{0}, {1}, {3}, {0, 1}, {0, 3}, {1, 2, 3}, {0, 1, 2, 3}} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprint(leaving, applied), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					g := newCrowd(t, func(n int, c *fakeetcd.Call) fakeetcd.Answer {
						if n == 1 {
							if applied {
								c.Apply()
							}
							return c.Silence()
						}
						return c.Apply()
					})
					begin := time.Now()
					ctx, leave := context.WithTimeout(t.Context(), busy+300*time.Millisecond)
					defer leave()
					leaves := map[int]bool{}
					for _, i := range leaving {
						leaves[i] = true
					}
					settled := make(chan struct{}, 4)
					var results []*error
					for i := range 4 {
						if leaves[i] {
							results = append(results, g.write(ctx, fmt.Sprint("key", i), "", settled))
						} else {
							results = append(results, g.write(t.Context(), fmt.Sprint("key", i), "", nil))
						}
					}
					<-ctx.Done()
					synctest.Wait()
					for i := range leaves {
						if err := *results[i]; !errors.Is(err, gateway.ErrUncertain) ||
							!errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("%d: %v", i, err)
						}
					}
					g.all.Wait()
					for range leaving {
						<-settled
					}
					if took := time.Since(begin); took > 5*time.Second {
						t.Errorf("it took %v", took)
					}
					for i := range 4 {
						if _, there := g.etcd.Get(fmt.Sprint("key", i)); there == leaves[i] {
							t.Errorf("key%d exists: %v", i, there)
						}
						if err := *results[i]; !leaves[i] && err != nil {
							t.Errorf("%d: %v", i, err)
						}
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
}

// TestLeaveBeforeTheBatch: a write that was never sent leaves no trace, except for a compensation
// with CompleteOnCancel.
func TestLeaveBeforeTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newCrowd(t, nil)
		ctx, leave := context.WithCancel(t.Context())
		gone := g.write(ctx, "gone", "", nil)
		insisting := sharing(g.s, "insisting", "")
		insisting.CompleteOnCancel = true
		insisting.Compensation = func() []gateway.Op { return insisting.Then }
		done := make(chan struct{})
		insisting.OnResolved = func() { close(done) }
		g.all.Go(func() {
			if _, err := core.Of(g.s).Write(ctx, insisting); !errors.Is(err, gateway.ErrUncertain) ||
				!errors.Is(err, context.Canceled) {
				t.Errorf("insisting: %v", err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		if !errors.Is(*gone, context.Canceled) || errors.Is(*gone, gateway.ErrUncertain) {
			t.Errorf("gone: %v", *gone)
		}
		g.all.Wait()
		<-done
		g.there("insisting")
		if g.with("gone") > 0 {
			t.Error("it was sent all the same")
		}
	})
}

// TestTheSessionEndsUnderABatch: all writes return ErrLost, whether they wait or are under way.
func TestTheSessionEndsUnderABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newCrowd(t, func(_ int, c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
		results := []*error{g.write(t.Context(), "a1", "a/", nil), g.write(t.Context(), "b", "", nil)}
		time.Sleep(2 * busy)
		results = append(results, g.write(t.Context(), "a2", "a/", nil),
			g.write(t.Context(), "c", "", nil), g.write(t.Context(), "a3", "a/", nil))
		begin := time.Now()
		g.etcd.Revoke(g.s.Lease())
		g.all.Wait()
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		for i, err := range results {
			if !errors.Is(*err, session.ErrLost) {
				t.Errorf("%d: %v", i, *err)
			}
		}
	})
}

// TestAllCallersOfGuardedWritesLeave: each of the writes is completed in the background, also the
// one whose caller left last and ended the request.
func TestAllCallersOfGuardedWritesLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		remove := func(key string) core.Write {
			out, err := core.Of(s).Write(t.Context(), put(s, key))
			if err != nil {
				t.Fatal(err)
			}
			own := gateway.Txn{
				If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, out.Revision)},
				Then: []gateway.Op{gateway.OpDelete(key)},
			}
			return core.Write{
				If: own.If, Then: own.Then, Guarded: true,
				Compensation: func() []gateway.Op { return []gateway.Op{gateway.OpTxn(own)} },
			}
		}
		all := together(t, etcd, s, func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.N == 2 {
				return c.Silence()
			}
			return c.Apply()
		}, map[string]core.Write{"first": remove("first"), "last": remove("last")},
			map[string]time.Duration{
				"first": 700 * time.Millisecond, "last": 800 * time.Millisecond,
			})
		for name, r := range all {
			if _, ok := etcd.Get(name); ok || !errors.Is(r.err, gateway.ErrUncertain) {
				t.Errorf("%s: %v; there: %v", name, r.err, ok)
			}
		}
	})
}
