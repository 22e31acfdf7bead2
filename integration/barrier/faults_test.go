package barrier_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/session"
)

// TestEachCountDownCountsOnceWhileAnswersAreLost: each CountDown counts once while 200 answers are
// lost.
func TestEachCountDownCountsOnceWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	const drops, most = 200, 100000
	p, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	name, ctx := fresh(t), within(t, 2*time.Minute)
	var sessions []*session.Session
	for range 2 {
		c := newClient(t, gateway.Config{
			Endpoints:      []string{p.URL()},
			AttemptTimeout: 300 * time.Millisecond,
		})
		sessions = append(sessions, newSession(t, c))
	}
	match := func(n int) func(*faultproxy.Request) bool {
		return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.N(n) == 0 }
	}
	dropped := p.Add(faultproxy.Rule{Match: match(3), Action: faultproxy.Drop})
	late := p.Add(faultproxy.Rule{
		Match:  match(40),
		Action: faultproxy.DelayBefore(400 * time.Millisecond),
	})
	var counted atomic.Int64
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			l := barrier.NewLatch(sessions[i%2], name, most)
			for dropped.Hits() < drops {
				if err := l.CountDown(ctx); err != nil {
					t.Error(err)
					return
				}
				counted.Add(1)
			}
		})
	}
	all.Wait()
	pause(ctx, 600*time.Millisecond) // late requests
	left, err := barrier.NewLatch(plain(t), name, most).Count(ctx)
	figure(t, "latch: %d counts with %d answers dropped, %d requests late", counted.Load(),
		dropped.Hits(), late.Hits())
	if err != nil || most-left != int(counted.Load()) {
		t.Errorf("counted %d, %v", most-left, err)
	}
}

// TestWaitOutlastsBrokenStreamsAndCompactions: Wait does not return because of broken streams and
// compactions, and returns after them when the barrier is down.
func TestWaitOutlastsBrokenStreamsAndCompactions(t *testing.T) {
	p, err := faultproxy.New(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	s, direct := newSession(t, newClient(t, gateway.Config{Endpoints: []string{p.URL()}})), plain(t)
	name, ctx := fresh(t), within(t, time.Minute)
	for _, missed := range []bool{false, true} {
		up, err := barrier.New(direct, name).Hold(ctx)
		if err != nil {
			t.Fatal(err)
		}
		done := soon(func() error { return barrier.New(s, name).Wait(ctx) })
		for range 10 {
			waits(t, s.Client(), done, "Wait")
			p.Reset()
			compact(t, direct)
		}
		if missed { // it is released while the waiter is disconnected, and the event is compacted
			if err := p.Refuse(); err != nil {
				t.Fatal(err)
			}
			p.Reset()
		}
		if err := up.Release(ctx); err != nil {
			t.Error(err)
		}
		if missed {
			compact(t, direct)
			waits(t, direct.Client(), done, "Wait without a connection")
			if err := p.Heal(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
