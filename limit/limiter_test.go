package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

func TestBurstThenRate(t *testing.T) {
	t.Parallel()
	for _, opts := range []*limit.Options{nil, {Strict: true}, {Block: 7}} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			l := limit.New(bubble.Session(t, etcd), name, perSecond(10, 20), opts)
			want(t, "burst", allowed(t, l), 20)
			time.Sleep(500 * time.Millisecond)
			want(t, "half a second", allowed(t, l), 5)
			time.Sleep(time.Minute)
			want(t, "burst", allowed(t, l), 20)
		})
	}
}

// TestWaitIsSpaced: calls that wait go on one after the other, at the rate.
func TestWaitIsSpaced(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			l := limit.New(bubble.Session(t, etcd), name, perSecond(10, 5), &limit.Options{Strict: strict})
			begun := time.Now()
			var of sync.WaitGroup
			var late [15]time.Duration
			var n atomic.Int32
			for range late {
				of.Go(func() {
					if err := l.Wait(t.Context(), 1); err != nil {
						t.Error(err)
					}
					late[n.Add(1)-1] = time.Since(begun)
				})
			}
			of.Wait()
			for i, d := range late {
				at := time.Duration(max(0, i-4)) * 100 * time.Millisecond
				if d < at || d > at+time.Millisecond {
					t.Errorf("call %d returns after %v, want %v", i, d, at)
				}
			}
		})
	}
}

// TestRequests: a busy process sends ten writes a second, and calls that are denied ten reads.
func TestRequests(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		l := limit.New(bubble.Session(t, etcd), name, perSecond(1000, 1000), nil)
		want(t, "burst", allowed(t, l), 1000)
		before := etcd.Revision()
		requests := bubble.Count(etcd)
		n := 0
		for begun := time.Now(); time.Since(begun) < 3*time.Second; time.Sleep(time.Millisecond) {
			n += allowed(t, l)
		}
		writes := etcd.Revision() - before
		if n < 2800 || n > 3000 || writes > 33 || requests.Load() > 130 {
			t.Errorf("%d tokens, %d writes, %d requests", n, writes, requests.Load())
		}
	})
}

// TestCloseGivesBack the rest of the block.
func TestCloseGivesBack(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
		s := bubble.Session(t, etcd)
		a := limit.New(s, name, rate, &limit.Options{Block: 40})
		b := limit.New(s, name, rate, &limit.Options{Block: 40})
		if ok, err := a.Allow(t.Context(), 3); !ok || err != nil {
			t.Error(ok, err)
		}
		want(t, "without the block", allowed(t, b), 60)
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		want(t, "the rest", allowed(t, b), 37)
		if _, err := a.Allow(t.Context(), 1); !errors.Is(err, limit.ErrClosed) {
			t.Errorf("Allow = %v", err)
		}
		if err := errors.Join(a.Close(t.Context()), b.Close(t.Context())); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if keys := etcd.Keys(name + "/"); len(keys) != 1 {
			t.Errorf("keys %q", keys)
		}
	})
}

// TestBlockOfADeadProcess goes back with its lease: all of it, or nothing if strict.
func TestBlockOfADeadProcess(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
			opts := &limit.Options{Block: 40, Strict: strict}
			s := shortSession(t, etcd)
			dead := limit.New(s, name, rate, opts)
			l := limit.New(bubble.Session(t, etcd), name, rate, opts)
			for range 3 {
				if ok, err := dead.Allow(t.Context(), 1); !ok || err != nil {
					t.Error(ok, err)
				}
			}
			first, second := 60, 40
			if strict {
				first, second = 97, 0
			}
			want(t, "while it lives", allowed(t, l), first)
			s.Orphan()
			time.Sleep(7 * time.Second)
			want(t, "after its lease", allowed(t, l), second)
			if _, err := dead.Allow(t.Context(), 1); !errors.Is(err, session.ErrLost) {
				t.Errorf("Allow = %v", err)
			}
		})
	}
}

// TestABlockIsFoundAtOnce: calls that are denied find the block of a dead process as soon as its
// lease has ended, whenever they have looked for blocks before.
func TestABlockIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	for phase := range 5 {
		first := 3500*time.Millisecond + time.Duration(phase)*200*time.Millisecond
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
			begun := time.Now()
			died := shortSession(t, etcd)
			dead := limit.New(died, name, rate, &limit.Options{Block: 40})
			if ok, err := dead.Allow(t.Context(), 1); !ok || err != nil {
				t.Error(ok, err)
			}
			died.Orphan()
			time.Sleep(first)
			l := limit.New(bubble.Session(t, etcd), name, rate, nil)
			want(t, "while it lives", allowed(t, l), 60)
			for allowed(t, l) == 0 && time.Since(begun) < time.Minute {
				time.Sleep(50 * time.Millisecond)
			}
			if took := time.Since(begun); took > 5*time.Second+150*time.Millisecond {
				t.Errorf("looked first after %v, found it after %v", first, took)
			}
		})
	}
}

// TestNeverOver: many limiters take at random while answers are lost; the sum is within the limit,
// and not far below it.
func TestNeverOver(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		for _, lossy := range []bool{false, true} {
			t.Run(fmt.Sprint(strict, lossy), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) { neverOver(t, etcd, strict, lossy) })
			})
		}
	}
}

func neverOver(t *testing.T, etcd *fakeetcd.Server, strict, lossy bool) {
	t.Helper()
	const processes, seconds = 4, 10
	var sum atomic.Int64
	var of sync.WaitGroup
	var limiters []*limit.Limiter
	for range processes {
		limiters = append(limiters, limit.New(bubble.Session(t, etcd), name, perSecond(50, 10),
			&limit.Options{Strict: strict}))
	}
	if lossy {
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if a := c.Apply(); c.N%7 > 0 || c.Path != "/kv/txn" {
				return a
			}
			return fakeetcd.Lost
		})
	}
	ctx, stop := context.WithTimeout(t.Context(), seconds*time.Second)
	defer stop()
	for i, l := range limiters {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		for range 3 {
			wait, n := r.IntN(2) == 0, r.Int64N(4)+1
			of.Go(func() {
				for ctx.Err() == nil {
					ok, err := true, error(nil)
					if wait {
						err = l.Wait(ctx, n)
					} else if ok, err = l.Allow(ctx, n); !ok {
						time.Sleep(20 * time.Millisecond)
					}
					switch {
					case errors.Is(err, context.DeadlineExceeded): // perhaps before it
						return
					case err != nil:
						t.Error(err)
						return
					case ok:
						sum.Add(n)
					}
				}
			})
		}
	}
	of.Wait()
	if got := sum.Load(); got > 50*seconds+10 || got < 50*seconds*3/4 {
		t.Errorf("%d tokens in %d s", got, seconds)
	}
}

// TestReserve: a reservation says when its tokens are available, and gives them back.
func TestReserve(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		l := limit.New(bubble.Session(t, etcd), name, perSecond(10, 10), nil)
		reserve := func(n int64, delay time.Duration) *limit.Reservation {
			r, err := l.Reserve(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			if r.Delay() != delay {
				t.Errorf("Delay = %v, want %v", r.Delay(), delay)
			}
			return r
		}
		first := reserve(10, 0)
		second := reserve(5, 500*time.Millisecond)
		first.Cancel() // too late
		second.Cancel()
		second.Cancel()
		reserve(5, 500*time.Millisecond)
		time.Sleep(200 * time.Millisecond)
		reserve(1, 400*time.Millisecond)
		if ok, err := l.Allow(t.Context(), 1); ok || err != nil {
			t.Errorf("Allow = %v, %v", ok, err)
		}
	})
}

// TestWaitEnds with its context, its deadline, or its session.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		l := limit.New(s, name, limit.Rate{Tokens: 1, Per: time.Minute, Burst: 5}, nil)
		want(t, "burst", allowed(t, l), 5)
		begun := time.Now()
		err := l.Wait(bubble.Within(t, 59*time.Second), 1)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 0 {
			t.Errorf("Wait = %v after %v", err, time.Since(begun))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		if err := l.Wait(ctx, 1); !errors.Is(err, context.Canceled) ||
			time.Since(begun) != 10*time.Second {
			t.Errorf("Wait = %v after %v", err, time.Since(begun))
		}
		if err := l.Wait(t.Context(), 1); err != nil || time.Since(begun) != time.Minute {
			t.Errorf("Wait = %v after %v", err, time.Since(begun))
		}
		time.AfterFunc(10*time.Second, func() { etcd.Revoke(s.Lease()) })
		if err := l.Wait(t.Context(), 1); !errors.Is(err, session.ErrLost) ||
			time.Since(begun) > 71*time.Second {
			t.Errorf("Wait = %v after %v", err, time.Since(begun))
		}
		if _, err := l.Allow(t.Context(), 1); !errors.Is(err, session.ErrLost) {
			t.Errorf("Allow = %v", err)
		}
		if err := l.Close(t.Context()); !errors.Is(err, session.ErrLost) {
			t.Errorf("Close = %v", err)
		}
	})
}

// TestUncertain: when the context ends during a request, the tokens of the block count as used.
func TestUncertain(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		l := limit.New(bubble.Session(t, etcd), name, limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100},
			&limit.Options{Block: 40})
		if ok, err := l.Allow(t.Context(), 1); !ok || err != nil {
			t.Fatal(ok, err)
		}
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if a := c.Apply(); c.N == 1 || !c.IsTxn("//bucket") {
				return a
			}
			return c.Silence()
		})
		_, err := l.Allow(bubble.Within(t, time.Second), 50) // gives 39 back, and takes 50
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Allow = %v", err)
		}
		etcd.Script(nil)
		time.Sleep(time.Minute)
		if n := allowed(t, l); n > 49 {
			t.Errorf("%d tokens after the first and 50", n)
		}
	})
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		good := perSecond(10, 10)
		for _, l := range []*limit.Limiter{
			limit.New(s, "a//b", good, nil),
			limit.New(s, "", good, nil),
			limit.New(s, name, limit.Rate{}, nil),
			limit.New(s, name, perSecond(-1, 1), nil),
			limit.New(s, name, perSecond(1, -1), nil),
			limit.New(s, name, limit.Rate{Tokens: 1, Per: 1 << 62}, nil),
			limit.New(s, name, perSecond(1<<62, 0), nil),
			limit.New(s, name, good, &limit.Options{Block: 11}),
			limit.New(s, name, good, &limit.Options{Block: -1}),
		} {
			_, err := l.Allow(t.Context(), 1)
			for _, err := range []error{err, l.Wait(t.Context(), 1), l.Close(t.Context())} {
				if !errors.Is(err, gateway.ErrInvalid) {
					t.Errorf("the error is %v", err)
				}
			}
		}
		l := limit.New(s, name, good, nil)
		for _, n := range []int64{0, -1, 11} {
			if err := l.Wait(t.Context(), n); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("Wait = %v", err)
			}
		}
		etcd.Put(name+"//bucket", "x")
		if err := l.Wait(t.Context(), 1); !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("Wait = %v", err)
		}
	})
}
