package line_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

func TestEnterInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		own, other := open(t, etcd), open(t, etcd)
		holder := enter(t, own)
		var waiting []*entering
		// Two members of one session exclude each other as well.
		for _, l := range []*line.Line{own, other, own} {
			waiting = append(waiting, goEnter(t.Context(), l))
		}
		for i, w := range waiting {
			if !w.waits() {
				t.Fatalf("%d was let in", i)
			}
			before := holder.Fence()
			release(t, holder)
			if w.waits() {
				t.Fatalf("%d waits on", i)
			}
			if holder = w.hold; w.err != nil || holder.Fence() <= before {
				t.Fatalf("%d: %v", i, w.err)
			}
		}
		release(t, holder)
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

// TestEnterAfterLostAnswers loses each of the requests of a contended and a free Enter, before and
// after the server applied it.
func TestEnterAfterLostAnswers(t *testing.T) {
	t.Parallel()
	for lost := 1; lost <= 4; lost++ {
		for _, applied := range []bool{false, true} {
			for _, contended := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d/applied=%v/contended=%v",
					lost, applied, contended), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						etcd := fakeetcd.Start(t)
						l := open(t, etcd)
						var holder line.Hold
						if contended {
							holder = enter(t, open(t, etcd))
						}
						var copies []*fakeetcd.Call
						etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
							if c.N != lost || c.Path != "/kv/txn" && c.Path != "/kv/range" {
								return c.Apply()
							}
							copies = append(copies, c)
							if applied {
								c.Apply()
							}
							return fakeetcd.Lost
						})
						w := goEnter(t.Context(), l)
						time.Sleep(2 * time.Second)
						if w.waits() != contended {
							t.Fatalf("waits = %v: %v", !contended, w.err)
						}
						if contended {
							release(t, holder)
						}
						<-w.done
						if w.err != nil {
							t.Fatal(w.err)
						}
						if kv, _ := etcd.Get(w.hold.Key()); kv.CreateRevision != w.hold.Fence() {
							t.Errorf("fence %d, created at %d", w.hold.Fence(), kv.CreateRevision)
						}
						release(t, w.hold)
						etcd.Script(nil)
						for _, c := range copies {
							c.Apply()
						}
						if keys := etcd.Keys("a/"); len(keys) != 0 {
							t.Errorf("a ghost: %v", keys)
						}
					})
				})
			}
		}
	}
}

// TestEnterCutOff ends the context of an Enter while the server is frozen. No key may be left after
// the server has thawed.
func TestEnterCutOff(t *testing.T) {
	t.Parallel()
	for _, frozen := range []time.Duration{
		500 * time.Millisecond, 2 * time.Second, 5 * time.Second,
	} {
		for _, after := range []time.Duration{
			time.Millisecond, 1200 * time.Millisecond, 3 * time.Second,
		} {
			t.Run(fmt.Sprintf("%v of %v", after, frozen), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					l := open(t, etcd)
					holder := enter(t, open(t, etcd))
					time.AfterFunc(frozen, etcd.Thaw)
					etcd.Freeze()
					start := time.Now()
					_, err := l.Enter(within(t, after), line.Join{})
					if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != after {
						t.Errorf("Enter = %v after %v", err, time.Since(start))
					}
					time.Sleep(7 * time.Second)
					synctest.Wait()
					if keys := etcd.Keys("a/"); len(keys) != 1 {
						t.Errorf("left: %v", keys)
					}
					release(t, holder)
					h := enter(t, l)
					// The first key of the session is free again.
					if want := "a/" + l.Session.Lease().String(); h.Key() != want {
						t.Errorf("key = %s", h.Key())
					}
				})
			})
		}
	}
}

func TestWaiterRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		holder := enter(t, open(t, etcd))
		w := goEnter(t.Context(), l)
		etcd.Delete("a/" + l.Session.Lease().String())
		<-w.done
		if !errors.Is(w.err, session.ErrKeyDeleted) {
			t.Errorf("Enter = %v", w.err)
		}
		if err := holder.Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestWaiterLosesItsSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		enter(t, open(t, etcd))
		w := goEnter(t.Context(), l)
		etcd.Revoke(l.Session.Lease())
		<-w.done
		if !errors.Is(w.err, session.ErrRevoked) {
			t.Errorf("Enter = %v", w.err)
		}
	})
}

// TestWaiterAcrossCompaction checks that a waiter is admitted if the holder's release was compacted
// away while the watch was down.
func TestWaiterAcrossCompaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		holder := enter(t, open(t, etcd))
		w := goEnter(t.Context(), l)
		etcd.BreakWatches(true)
		release(t, holder)
		etcd.Compact()
		time.Sleep(3 * time.Second)
		if !w.waits() {
			t.Fatal("how can it know?")
		}
		etcd.BreakWatches(false)
		<-w.done
		if w.err != nil {
			t.Error(w.err)
		}
	})
}

// TestNoGrantWhileSuspect checks that the first member in line is not admitted while its session
// gets no answer to its keepalives.
func TestNoGrantWhileSuspect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		holder := enter(t, open(t, etcd))
		w := goEnter(t.Context(), l)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/lease/keepalive" {
				return c.Silence()
			}
			return c.Apply()
		})
		time.Sleep(8 * time.Second)
		release(t, holder)
		if !w.waits() {
			t.Fatal("let in")
		}
		etcd.Script(nil)
		<-w.done
		if w.err != nil {
			t.Error(w.err)
		}
	})
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		rev := etcd.Revision()
		for _, name := range []string{
			"", "holdfast/sessions", "holdfast/sessions/x", "holdfast/delay", "holdfast/delay/x",
		} {
			l.Name = name
			if _, err := l.Enter(t.Context(), line.Join{}); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("Enter(%q) = %v", name, err)
			}
			if _, err := l.Try(t.Context(), line.Join{}); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("Try(%q) = %v", name, err)
			}
		}
		if etcd.Revision() != rev {
			t.Error("something was written")
		}
	})
}

// TestRequests counts the requests of Enter: one for a free line, no read for a waiter whose client
// has a mirror, and two reads for a direct watcher.
func TestRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l, other := open(t, etcd), open(t, etcd)
		var requests atomic.Int32
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if strings.HasPrefix(c.Path, "/kv/") {
				requests.Add(1)
			}
			return c.Apply()
		})
		want := func(step string, n int32) {
			t.Helper()
			if got := requests.Swap(0); got != n {
				t.Errorf("%s: %d requests, want %d", step, got, n)
			}
		}
		holder := enter(t, other)
		want("free", 1)
		first := goEnter(t.Context(), l)
		want("the first waiter", 2)
		second := goEnter(t.Context(), l)
		want("the second waiter", 1)
		release(t, holder)
		<-first.done
		release(t, first.hold)
		<-second.done
		want("two releases", 2)
		release(t, second.hold)
		want("the last release", 1)
		third := goEnter(t.Context(), l)
		<-third.done
		want("free again", 1)
		waiter := goEnter(t.Context(), other)
		want("a waiter of another client", 2)
		fourth := goEnter(t.Context(), l)
		want("a waiter with an idle mirror", 1)
		release(t, third.hold)
		<-waiter.done
		release(t, waiter.hold)
		<-fourth.done
		want("two releases", 2)
		for i := range 20 {
			etcd.Put(fmt.Sprint("a/m", i), "")
		}
		newcomer := open(t, etcd)
		want("a session", 1)
		direct := goEnterAs(t.Context(), newcomer, line.Join{Exclusive: true})
		want("a direct watcher", 3)
		for i := range 19 {
			etcd.Delete(fmt.Sprint("a/m", i))
		}
		release(t, fourth.hold)
		if !direct.waits() {
			t.Fatal("let in")
		}
		want("releases far ahead", 1)
		etcd.Delete("a/m19")
		<-direct.done
		want("its last read", 1)
	})
}
