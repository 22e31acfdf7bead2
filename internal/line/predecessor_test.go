package line_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// joined is a member of a crowd. Each has a client of its own.
type joined struct {
	line   *line.Line
	cancel context.CancelFunc
	done   chan struct{}
	hold   line.Hold
	err    error
}

// crowd makes n members join one after the other.
func crowd(t *testing.T, etcd *fakeetcd.Server, n int) []*joined {
	t.Helper()
	var all []*joined
	for range n {
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		j := &joined{line: open(t, etcd), cancel: cancel, done: make(chan struct{})}
		all = append(all, j)
		go func() {
			defer close(j.done)
			j.hold, j.err = j.line.Enter(ctx, line.Join{Exclusive: true})
		}()
		synctest.Wait()
	}
	return all
}

func (j *joined) admitted() bool {
	synctest.Wait()
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// TestCrowd checks a line that is too long for mirrors: each member is admitted when all members
// ahead of it have left, and not before. Others leave, are removed or lose their streams in
// between. Few members read all of the line.
func TestCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		var reads atomic.Int64
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/range" && bytes.Contains(c.Body, []byte(`"range_end"`)) &&
				!bytes.Contains(c.Body, []byte(`"limit"`)) {
				reads.Add(1)
			}
			return c.Apply()
		})
		etcd.Put("a/b/other", "") // another line
		const n = 60
		all := crowd(t, etcd, n)
		all[40].cancel()
		all[41].line.Session.Orphan()
		synctest.Wait()
		keys := etcd.Keys("a/")
		etcd.Revoke(all[42].line.Session.Lease())
		etcd.Delete("a/" + all[43].line.Session.Lease().String())
		synctest.Wait()
		if now := etcd.Keys("a/"); len(now) != len(keys)-2 {
			t.Fatalf("%d keys, then %d", len(keys), len(now))
		}
		for i, want := range map[int]error{
			40: context.Canceled, 41: session.ErrClosed,
			42: session.ErrRevoked, 43: session.ErrKeyDeleted,
		} {
			if <-all[i].done; !errors.Is(all[i].err, want) {
				t.Errorf("member %d: %v, not %v", i, all[i].err, want)
			}
		}
		etcd.Delete("a/" + all[41].line.Session.Lease().String()) // as if it had expired
		for i, j := range all {
			if i >= 40 && i <= 43 {
				continue
			}
			if i == 50 {
				etcd.BreakWatches(false)
				time.Sleep(time.Minute)
			}
			if i == 55 {
				etcd.Touch("a/" + j.line.Session.Lease().String())
				etcd.Compact()
				etcd.BreakWatches(false)
				time.Sleep(time.Minute)
			}
			if <-j.done; j.err != nil {
				t.Fatalf("member %d: %v", i, j.err)
			}
			for k, behind := range all[i+1:] {
				if k += i + 1; (k < 40 || k > 43) && behind.admitted() {
					t.Fatalf("member %d was admitted before %d had left: %v", k, i, behind.err)
				}
			}
			release(t, j.hold)
		}
		if n := reads.Load(); n > 30 {
			t.Errorf("the line was read %d times", n)
		}
	})
}

// TestCrowdOfOneClient checks that all waiters of one client share one watch of the line.
func TestCrowdOfOneClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		h := enter(t, l)
		before := etcd.Watches()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				h, err := l.Enter(t.Context(), line.Join{Exclusive: true})
				if err != nil {
					t.Error(err)
					return
				}
				release(t, h)
			})
		}
		synctest.Wait()
		if n := etcd.Watches() - before; n != 1 {
			t.Errorf("%d watches", n)
		}
		release(t, h)
		all.Wait()
	})
}

// TestPredecessorLeavesAtEachStep checks that a direct watcher misses nothing when a member leaves
// before or after one of its requests: its predecessor, all other members, or itself.
func TestPredecessorLeavesAtEachStep(t *testing.T) {
	t.Parallel()
	const others = 20
	for _, who := range []string{"predecessor", "all others", "itself"} {
		for step := 2; step <= 4; step++ { // 2 finds the predecessor, 3 reads both; 4: afterwards
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprint(who, step, after), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						etcd := fakeetcd.Start(t)
						l := open(t, etcd)
						for i := range others {
							etcd.Put(fmt.Sprint("a/m", i), "")
						}
						leave := func() {
							switch who {
							case "predecessor":
								etcd.Delete(fmt.Sprint("a/m", others-1))
							case "itself":
								etcd.Delete("a/" + l.Session.Lease().String())
							case "all others":
								for i := range others {
									etcd.Delete(fmt.Sprint("a/m", i))
								}
							}
						}
						etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
							if c.N == step && !after {
								leave()
							}
							answer := c.Apply()
							if c.N == step && after {
								leave()
							}
							c.Sleep(10 * time.Millisecond) // the events arrive before the answer
							return answer
						})
						w := goEnterAs(t.Context(), l, line.Join{Exclusive: true})
						time.Sleep(time.Second)
						etcd.Script(nil)
						if step == 4 {
							leave()
						}
						if who == "predecessor" {
							if !w.waits() {
								t.Fatalf("Enter = %v", w.err)
							}
							for i := range others - 1 {
								etcd.Delete(fmt.Sprint("a/m", i))
							}
						}
						var want error
						if who == "itself" {
							want = session.ErrKeyDeleted
						}
						if w.waits() || !errors.Is(w.err, want) {
							t.Fatalf("Enter = %v, want %v", w.err, want)
						}
						if n := etcd.Watches(); n != 1 { // the record's
							t.Errorf("%d watches are left", n)
						}
					})
				})
			}
		}
	}
}

// TestDirectWatchAfterCompaction checks a direct watcher whose predecessors left while its watches
// were down, and whose events were compacted.
func TestDirectWatchAfterCompaction(t *testing.T) {
	t.Parallel()
	for _, left := range []int{1, 20} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			l := open(t, etcd)
			for i := range 20 {
				etcd.Put(fmt.Sprint("a/m", i), "")
			}
			w := goEnterAs(t.Context(), l, line.Join{Exclusive: true})
			time.Sleep(2 * time.Second)
			etcd.BreakWatches(true)
			synctest.Wait()
			for i := range left {
				etcd.Delete(fmt.Sprint("a/m", 19-i))
			}
			etcd.Compact()
			etcd.BreakWatches(false)
			time.Sleep(3 * time.Second)
			if w.waits() != (left == 1) {
				t.Fatalf("%d left: %v", left, w.err)
			}
			for i := range 20 - left {
				etcd.Delete(fmt.Sprint("a/m", i))
			}
			if w.waits() || w.err != nil {
				t.Errorf("Enter = %v", w.err)
			}
		})
	}
}
