package listwatch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

func TestOneReadForAllCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Put("a/x", "")
		etcd.Put("b", "")
		k := prefix(t, etcd.Client(t))
		var all []chan error
		for range 10 {
			all = append(all, k.goSync(t.Context()))
		}
		for _, done := range all {
			wantErr(t, done, nil)
		}
		k.want("list 3")
		k.exact(etcd)
		etcd.Put("a/y", "")
		etcd.Put("b", "")
		etcd.Delete("a/x")
		k.want("apply 4", "apply 6")
		k.exact(etcd)
		k.sync()
		if k.reads != 1 || etcd.Watches() != 1 {
			t.Errorf("%d reads, %d watches", k.reads, etcd.Watches())
		}
	})
}

// TestEventsBeforeTheRead: the events between the creation of the watch and the read are applied
// after the read, without those that the read includes.
func TestEventsBeforeTheRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := etcd.Client(t)
		k := prefix(t, c)
		k.beforeRead = func() {
			etcd.Put("a/x", "")
			etcd.Put("a/y", "")
			synctest.Wait()
		}
		k.afterRead = func() {
			etcd.Delete("a/x")
			if _, err := c.Txn(t.Context(), gateway.Txn{Then: []gateway.Op{
				gateway.OpDelete("a/y"), gateway.OpPut("a/z", nil),
			}}); err != nil {
				t.Error(err)
			}
			etcd.Put("a/x", "")
			synctest.Wait()
		}
		k.sync()
		k.want("list 3", "apply 4", "apply 5", "apply 6")
		k.exact(etcd)
	})
}

// TestCut: a broken connection or a failed member loses nothing and needs no read.
func TestCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		k := prefix(t, etcd.Client(t))
		k.sync()
		etcd.BreakWatches(true)
		etcd.Put("a/x", "")
		time.Sleep(time.Minute)
		etcd.BreakWatches(false)
		time.Sleep(time.Minute)
		k.want("list 1", "apply 2")
		k.exact(etcd)
	})
}

// TestCompaction compacts missed events at each step of a cache's life.
func TestCompaction(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, etcd *fakeetcd.Server, k *keys)
		want []string
	}{
		{"before the read", func(t *testing.T, etcd *fakeetcd.Server, k *keys) {
			t.Helper()
			k.beforeRead = once(func() { compact(etcd, 2) })
			k.sync()
			if k.reads != 2 {
				t.Errorf("%d reads", k.reads)
			}
		}, []string{"list 4"}},
		{"after the read, before its answer", func(t *testing.T, etcd *fakeetcd.Server, k *keys) {
			t.Helper()
			k.afterRead = once(func() { compact(etcd, 2) })
			k.sync()
			if k.reads != 2 {
				t.Errorf("%d reads", k.reads)
			}
		}, []string{"list 4"}},
		{"after the caller of Sync has left", func(t *testing.T, etcd *fakeetcd.Server, k *keys) {
			t.Helper()
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := k.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Sync = %v", err)
			}
			etcd.Script(nil)
			compact(etcd, 2)
			k.sync()
		}, []string{"list 4"}},
		{"when the copy is complete", func(t *testing.T, etcd *fakeetcd.Server, k *keys) {
			t.Helper()
			k.sync()
			compact(etcd, 2)
			k.want("list 1", "stale")
			<-k.stale
			k.sync()
		}, []string{"list 4"}},
		{"while nobody uses it", func(t *testing.T, etcd *fakeetcd.Server, k *keys) {
			t.Helper()
			k.sync()
			compact(etcd, 2)
			<-k.stale
			k.want("list 1", "stale")
			if n := etcd.Watches(); n != 0 {
				t.Errorf("%d watches", n)
			}
			etcd.Put("a/x", "")
			etcd.Delete("a/missed0")
			k.sync()
		}, []string{"list 6"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				k := prefix(t, etcd.Client(t))
				tt.run(t, etcd, k)
				k.want(tt.want...)
				k.exact(etcd)
				etcd.Put("a/y", "")
				k.exact(etcd)
				if n := etcd.Watches(); n != 1 {
					t.Errorf("%d watches", n)
				}
			})
		})
	}
}

// TestDenied: each caller gets the error of a watch that was canceled or could not be created, from
// one attempt. After a Reset, the cache works again.
func TestDenied(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"at first", "later"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				k := prefix(t, etcd.Client(t))
				if when == "later" {
					k.sync()
				}
				etcd.DenyWatches(true)
				var all []chan error
				synctest.Wait()
				for range 5 {
					all = append(all, k.goSync(t.Context()))
				}
				for _, done := range all {
					wantErr(t, done, gateway.ErrPermissionDenied)
				}
				if when == "later" {
					<-k.stale
					k.want("list 1", "stale")
				}
				etcd.DenyWatches(false)
				etcd.Put("a/x", "")
				wantErr(t, k.goSync(t.Context()), gateway.ErrPermissionDenied)
				k.Reset()
				k.sync()
				k.want("list 2")
				k.exact(etcd)
			})
		})
	}
}

// TestRefusedRead: a read that fails ends the Sync that made it, and the next one reads again.
func TestRefusedRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
		k := prefix(t, etcd.Client(t))
		wantErr(t, k.goSync(t.Context()), gateway.ErrPermissionDenied)
		etcd.Script(nil)
		etcd.Put("a/x", "")
		k.sync()
		k.want("list 2")
		if n := etcd.Watches(); n != 1 {
			t.Errorf("%d watches", n)
		}
	})
}

// TestCallerLeaves: if the caller whose Sync does the work leaves, another goes on.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	for _, frozen := range []string{"watch", "read"} {
		t.Run(frozen, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				k := prefix(t, etcd.Client(t))
				switch frozen {
				case "watch":
					etcd.BreakWatches(true)
				case "read":
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
				}
				ctx, cancel := context.WithCancel(t.Context())
				first, second, third := k.goSync(ctx), k.goSync(t.Context()), k.goSync(ctx)
				cancel()
				wantErr(t, first, context.Canceled)
				wantErr(t, third, context.Canceled)
				etcd.Script(nil)
				etcd.BreakWatches(false)
				if err := <-second; err != nil {
					t.Errorf("Sync = %v", err)
				}
				k.want("list 1")
			})
		})
	}
}

// TestClosed: a Sync that waits returns when the cache or the client is closed, and later ones fail
// at once.
func TestClosed(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"cache", "client"} {
		for _, step := range []string{"unused", "watch", "read", "complete", "failed"} {
			t.Run(what+" "+step, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					c := etcd.Client(t)
					k := prefix(t, c)
					var waiting chan error
					switch step {
					case "watch": // nor would a read be answered
						etcd.Freeze()
						waiting = k.goSync(t.Context())
					case "read":
						etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
						waiting = k.goSync(t.Context())
					case "complete":
						k.sync()
					case "failed":
						etcd.DenyWatches(true)
						wantErr(t, k.goSync(t.Context()), gateway.ErrPermissionDenied)
						k.Reset()
					}
					if what == "client" {
						if err := c.Close(); err != nil {
							t.Error(err)
						}
					} else {
						k.Close()
					}
					etcd.Script(nil)
					if waiting != nil {
						if err := <-waiting; !errors.Is(err, gateway.ErrClosed) {
							t.Errorf("Sync = %v", err)
						}
					}
					for range 2 {
						wantErr(t, k.goSync(t.Context()), gateway.ErrClosed)
						k.Reset()
					}
					if n := etcd.Watches(); n != 0 {
						t.Errorf("%d watches are left", n)
					}
				})
			})
		}
	}
}

// TestReducerCloses: a reducer may close its cache, and receives nothing more.
func TestReducerCloses(t *testing.T) {
	t.Parallel()
	for _, buffered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			k := prefix(t, etcd.Client(t))
			k.onApply = k.Close
			if buffered {
				k.afterRead = func() {
					etcd.Put("a/x", "")
					synctest.Wait()
				}
				if err := k.Sync(t.Context()); !errors.Is(err, gateway.ErrClosed) {
					t.Errorf("Sync = %v", err)
				}
			} else {
				k.sync()
				etcd.Put("a/x", "")
			}
			k.want("list 1", "apply 2")
			etcd.Put("a/x", "")
			k.want()
			if n := etcd.Watches(); n != 0 {
				t.Errorf("%d watches", n)
			}
		})
	}
}

// TestCopyIsExact changes keys at random while watches break, events are compacted, watches are
// denied, and reads are slow. An owner calls Sync whenever the copy is stale.
func TestCopyIsExact(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				etcd := fakeetcd.Start(t)
				k := prefix(t, etcd.Client(t))
				k.beforeRead = func() { time.Sleep(300 * time.Millisecond) }
				k.afterRead = k.beforeRead
				ctx, cancel := context.WithCancel(t.Context())
				owner := make(chan struct{})
				go func() {
					defer close(owner)
					for ctx.Err() == nil {
						if err := k.Sync(ctx); err != nil {
							time.Sleep(100 * time.Millisecond)
							k.Reset()
							continue
						}
						select {
						case <-k.stale:
						case <-ctx.Done():
						}
					}
				}()
				for range 200 {
					key := "a/" + strconv.Itoa(random.IntN(5))
					switch random.IntN(20) {
					case 0:
						etcd.BreakWatches(random.IntN(2) == 0)
					case 1:
						etcd.Compact()
					case 2:
						etcd.DenyWatches(true)
						time.Sleep(time.Millisecond)
						etcd.DenyWatches(false)
					case 3, 4, 5, 6:
						time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
					case 7, 8, 9, 10:
						etcd.Delete(key)
					default:
						etcd.Put(key, "")
					}
				}
				etcd.BreakWatches(false)
				time.Sleep(time.Minute)
				k.exact(etcd)
				cancel()
				<-owner
			})
		})
	}
}
