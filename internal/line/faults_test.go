package line_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
)

// TestOneHolderUnderFaults checks that members of many clients, in lines that are short and long in
// turn, hold one at a time and are all admitted, while watches break and are denied, events are
// compacted and, with several members of each client, answers are lost. No watch is left.
func TestOneHolderUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				const rounds = 2
				members := 30
				if seed == 2 { // many of them wait very far back
					members = 90
				}
				clients := members
				if seed%2 == 1 {
					clients = members / 5
					loseAnswers(etcd, rand.New(rand.NewPCG(seed, uint64(members))))
				}
				var lines []*line.Line
				for range clients {
					lines = append(lines, openEarly(t, etcd))
				}
				var all sync.WaitGroup
				var holders atomic.Int32
				for i := range members {
					l := lines[i%clients]
					random := rand.New(rand.NewPCG(seed, uint64(i)))
					all.Go(func() {
						for range rounds {
							h := enterUnderFaults(t, l, random)
							if n := holders.Add(1); n != 1 {
								t.Errorf("%d holders", n)
							}
							time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
							holders.Add(-1)
							if random.IntN(4) == 0 {
								h.Guard()
							}
							if err := h.Grip.Release(t.Context()); err != nil {
								t.Errorf("Release = %v", err)
							}
							time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
						}
					})
				}
				ctx, cancel := context.WithCancel(t.Context())
				faults := make(chan struct{})
				go func() {
					defer close(faults)
					for random := rand.New(rand.NewPCG(seed, uint64(members))); ctx.Err() == nil; {
						time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
						switch random.IntN(5) {
						case 0:
							etcd.BreakWatches(true)
							time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
							etcd.Compact()
							etcd.BreakWatches(false)
						case 1:
							etcd.DenyWatches(true)
							time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
							etcd.DenyWatches(false)
						default:
							etcd.BreakWatches(false)
						}
					}
				}()
				all.Wait()
				cancel()
				<-faults
				time.Sleep(2 * time.Minute) // then no mirror is left
				synctest.Wait()
				if n := etcd.Watches(); n != clients { // of the records
					t.Errorf("%d watches are left", n-clients)
				}
			})
		})
	}
}

// loseAnswers loses one in ten answers to transactions.
func loseAnswers(etcd *fakeetcd.Server, random *rand.Rand) {
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		answer := c.Apply()
		if c.Path == "/kv/txn" && random.IntN(10) == 0 {
			return fakeetcd.Lost
		}
		return answer
	})
}

// enterUnderFaults enters until it is admitted.
func enterUnderFaults(t *testing.T, l *line.Line, random *rand.Rand) line.Hold {
	t.Helper()
	for {
		patience := time.Hour
		if random.IntN(8) == 0 {
			patience = time.Duration(random.IntN(1000)) * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		h, err := l.Enter(ctx, line.Join{Exclusive: random.IntN(4) > 0})
		cancel()
		switch {
		case err == nil:
			return h
		case errors.Is(err, gateway.ErrPermissionDenied):
			time.Sleep(10 * time.Millisecond)
		case !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("Enter = %v", err)
		}
	}
}
