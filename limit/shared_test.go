package limit_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/limit"
)

// slowly delays each transaction of the bucket.
func slowly(c *fakeetcd.Call) fakeetcd.Answer {
	if c.IsTxn("//bucket") {
		c.Sleep(time.Second)
	}
	return c.Apply()
}

// TestRestIsNotTakenWhileItGoesBack: a call that needs more than the rest of the block gives the
// rest back. Meanwhile another call does not take it, so that no token counts twice.
func TestRestIsNotTakenWhileItGoesBack(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
		l := limit.New(bubble.Session(t, etcd), name, rate, &limit.Options{Block: 40})
		take := func(n int64) int {
			switch ok, err := l.Allow(t.Context(), n); {
			case err != nil:
				t.Error(err)
			case ok:
				return int(n)
			}
			return 0
		}
		sum := take(1)
		etcd.Script(slowly)
		var large int
		var of sync.WaitGroup
		of.Go(func() { large = take(50) })
		time.Sleep(1500 * time.Millisecond)
		sum += take(30)
		of.Wait()
		etcd.Script(nil)
		time.Sleep(time.Second)
		if sum += large + allowed(t, l); sum != 100 {
			t.Errorf("%d tokens of 100", sum)
		}
	})
}

// TestRestStaysAfterADenial: a call that is denied has given nothing back.
func TestRestStaysAfterADenial(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
		s := bubble.Session(t, etcd)
		l := limit.New(s, name, rate, &limit.Options{Block: 40})
		other := limit.New(s, name, rate, &limit.Options{Block: 1})
		for _, tt := range []struct {
			l  *limit.Limiter
			n  int64
			ok bool
		}{{l, 10, true}, {other, 60, true}, {l, 31, false}, {l, 30, true}, {l, 1, false}} {
			if ok, err := tt.l.Allow(t.Context(), tt.n); ok != tt.ok || err != nil {
				t.Errorf("Allow(%d) = %v, %v", tt.n, ok, err)
			}
			time.Sleep(time.Second)
		}
	})
}

// TestOldTokensAreNotUsedWithABurst: tokens that a process has not used within the time in which
// the bucket fills are lost, as they are in the bucket.
func TestOldTokensAreNotUsedWithABurst(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			opts := &limit.Options{Strict: strict, Block: 20}
			a := limit.New(bubble.Session(t, etcd), name, perSecond(10, 20), opts)
			b := limit.New(bubble.Session(t, etcd), name, perSecond(10, 20), opts)
			r, err := a.Reserve(t.Context(), 15)
			if err != nil {
				t.Fatal(err)
			}
			r.Cancel()
			if ok, err := a.Allow(t.Context(), 1); !ok || err != nil {
				t.Error(ok, err)
			}
			time.Sleep(5 * time.Second)
			var n atomic.Int64
			var of sync.WaitGroup
			for _, l := range []*limit.Limiter{a, b} {
				of.Go(func() { n.Add(int64(allowed(t, l))) })
			}
			of.Wait()
			if n.Load() != 20 {
				t.Errorf("%d tokens at one moment", n.Load())
			}
		})
	}
}

// TestCloseWhileACallAsks: the call returns ErrClosed or tokens, and nothing stays taken.
func TestCloseWhileACallAsks(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
		s := bubble.Session(t, etcd)
		l := limit.New(s, name, rate, &limit.Options{Block: 40})
		etcd.Script(slowly)
		var of sync.WaitGroup
		taken := 0
		of.Go(func() {
			switch ok, err := l.Allow(t.Context(), 1); {
			case ok:
				taken = 1
			case !errors.Is(err, limit.ErrClosed):
				t.Errorf("Allow = %v, %v", ok, err)
			}
		})
		time.Sleep(1500 * time.Millisecond)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		of.Wait()
		etcd.Script(nil)
		want(t, "the rest", allowed(t, limit.New(s, name, rate, nil)), 100-taken)
	})
}

// TestNamesBelow: the keys of a limiter whose name lies below do not count as blocks of this one.
func TestNamesBelow(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		died := shortSession(t, etcd)
		s := bubble.Session(t, etcd)
		rate := limit.Rate{Tokens: 1, Per: time.Hour, Burst: 100}
		below := limit.New(s, name+"/users", rate, &limit.Options{Block: 40})
		dead := limit.New(died, name, rate, &limit.Options{Block: 40})
		for _, l := range []*limit.Limiter{below, dead} {
			if ok, err := l.Allow(t.Context(), 1); !ok || err != nil {
				t.Errorf("Allow = %v, %v", ok, err)
			}
		}
		died.Orphan()
		time.Sleep(time.Minute)
		l := limit.New(s, name, rate, nil)
		got := allowed(t, l)
		time.Sleep(time.Second)
		want(t, "with the block of the dead", got+allowed(t, l), 100)
	})
}
