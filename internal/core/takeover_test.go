package core_test

import (
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

// TestResumeOfTheLiving: if the earlier process still runs, its session ends, however it learns of
// the other, and writes nothing more.
func TestResumeOfTheLiving(t *testing.T) {
	t.Parallel()
	const byWatch = "by the watch"
	for _, tt := range []struct {
		name  string
		learn func(t *testing.T, etcd *fakeetcd.Server, old *session.Session)
	}{
		{byWatch, func(*testing.T, *fakeetcd.Server, *session.Session) {}},
		{"by a write", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			out, err := core.Of(old).Write(t.Context(), put(old, "k"))
			if !errors.Is(err, session.ErrResumedElsewhere) || errors.Is(err, gateway.ErrUncertain) ||
				out.Applied {
				t.Errorf("Write = %+v, %v", out, err)
			}
		}},
		{"by writes together", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			errs := make(chan error, 10)
			for i := range cap(errs) {
				w := put(old, fmt.Sprint("k", i))
				w.Key = fmt.Sprint("k", i)
				go func() { _, err := core.Of(old).Write(t.Context(), w); errs <- err }()
			}
			for range cap(errs) {
				if err := <-errs; !errors.Is(err, session.ErrResumedElsewhere) {
					t.Errorf("Write = %v", err)
				}
			}
		}},
		{"by a transaction", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			_, err := old.Txn(t.Context(), gateway.Txn{Then: []gateway.Op{gateway.OpPut("k", nil)}})
			if !errors.Is(err, session.ErrResumedElsewhere) {
				t.Errorf("Txn = %v", err)
			}
		}},
		{"by asking", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			if err := core.Of(old).Verify(t.Context()); !errors.Is(err, session.ErrResumedElsewhere) {
				t.Errorf("Verify = %v", err)
			}
		}},
		{"when watches work again", func(t *testing.T, etcd *fakeetcd.Server, _ *session.Session) {
			t.Helper()
			etcd.BreakWatches(false)
			time.Sleep(5 * time.Second)
		}},
		{"after a compaction", func(t *testing.T, etcd *fakeetcd.Server, _ *session.Session) {
			t.Helper()
			etcd.Put("other", "")
			etcd.Compact()
			etcd.BreakWatches(false)
			time.Sleep(5 * time.Second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				told := make(chan error, 1)
				old := open(t, etcd, &session.Options{Hooks: session.Hooks{Lost: func(err error) {
					told <- err
				}}})
				h := hold(t, old, "a")
				if tt.name != byWatch {
					etcd.BreakWatches(true)
				}
				s := resume(t, etcd, old.Lease(), nil)
				if alive := tt.name != byWatch; (old.Err() == nil) != alive {
					t.Errorf("before it could learn of it: %v", old.Err())
				}
				tt.learn(t, etcd, old)
				synctest.Wait()
				isTakenOver(t, etcd, old)
				if err := h.grip.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) ||
					!errors.Is(err, session.ErrResumedElsewhere) {
					t.Errorf("Release of the earlier life = %v", err)
				}
				if err := <-told; !errors.Is(err, session.ErrResumedElsewhere) {
					t.Errorf("the hook was told %v", err)
				}
				if keys := etcd.Keys("k"); len(keys) != 0 || len(etcd.Keys("a")) != 1 {
					t.Errorf("the earlier life has written %v, or deleted", keys)
				}
				etcd.BreakWatches(false)
				time.Sleep(time.Minute)
				if err := s.Err(); err != nil {
					t.Error(err)
				}
				hold(t, s, "b")
			})
		})
	}
}

// TestResumeAndLateCopies: writes of the earlier process that are still under way are not applied
// any more.
func TestResumeAndLateCopies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil)
		var copies []*fakeetcd.Call
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			copies = append(copies, c)
			return fakeetcd.Lost
		})
		taken := put(old, "k")
		taken.If = []gateway.Cmp{gateway.CmpCreateRevision("taken", gateway.Equal, 0)}
		etcd.Put("taken", "")
		for _, w := range []core.Write{put(old, "k"), taken} {
			_, err := core.Of(old).Write(within(t, time.Second), w)
			if !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Write = %v", err)
			}
		}
		old.Orphan()
		etcd.Script(nil)
		s := resume(t, etcd, old.Lease(), nil)
		before := etcd.Revision()
		txns := 0
		for _, c := range copies {
			if c.Path == "/kv/txn" {
				txns++
				c.Apply()
			}
		}
		synctest.Wait()
		if etcd.Revision() != before || s.Err() != nil || txns < 4 {
			t.Errorf("of %d copies some were applied: %v, %v", txns, etcd.Keys("k"), s.Err())
		}
	})
}

// TestResumeWhileTheEpochMoves: an earlier process that still runs writes between the read and the
// takeover.
func TestResumeWhileTheEpochMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil)
		moves := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" && moves < 5 {
				moves++
				moveEpoch(etcd, old)
			}
			return c.Apply()
		})
		begin := time.Now()
		s := resume(t, etcd, old.Lease(), nil)
		if moves != 5 || time.Since(begin) == 0 {
			t.Errorf("%d moves in %v", moves, time.Since(begin))
		}
		isTakenOver(t, etcd, old)
		hold(t, s, "a")
	})
}

// TestResumeAtOnce: of several sessions that resume at the same moment one is left, in any order of
// their requests.
func TestResumeAtOnce(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{0, time.Millisecond, 15 * time.Millisecond, time.Second} {
		for _, lossy := range []bool{false, true} {
			t.Run(fmt.Sprint(apart, lossy), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					old := open(t, etcd, nil)
					old.Orphan()
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						c.Sleep(10 * time.Millisecond)
						answer := c.Apply()
						if lossy && c.Path == "/kv/txn" && c.N%2 == 0 {
							return fakeetcd.Lost
						}
						return answer
					})
					const n = 4
					type result struct {
						s   *session.Session
						err error
					}
					results := make(chan result, n)
					for i := range n {
						c := etcd.Client(t)
						go func() {
							time.Sleep(time.Duration(i) * apart)
							s, err := session.Resume(t.Context(), c, old.Lease(), nil)
							results <- result{s, err}
						}()
					}
					var made []*session.Session
					for range n {
						r := <-results
						if r.err == nil {
							made = append(made, r.s)
							closeLater(t, r.s)
						} else if !errors.Is(r.err, session.ErrResumedElsewhere) ||
							!errors.Is(r.err, session.ErrLost) {
							t.Errorf("Resume = %v", r.err)
						}
					}
					etcd.Script(nil)
					time.Sleep(time.Second)
					var left []*session.Session
					for _, s := range made {
						if s.Err() == nil {
							left = append(left, s)
						} else {
							isTakenOver(t, etcd, s)
						}
					}
					if len(left) != 1 {
						t.Fatalf("%d of %d are left", len(left), len(made))
					}
					time.Sleep(time.Minute)
					hold(t, left[0], "a")
				})
			})
		}
	}
}
