package mutex_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
)

// BenchmarkHandOver reports how long a lock is free between two holders, for this library and for
// clientv3. Two sessions hold it in turn, each for 5 ms.
func BenchmarkHandOver(b *testing.B) {
	b.Run("holdfast", func(b *testing.B) {
		turns := make([]func(hold func()), 2)
		name := fresh(b)
		for i := range turns {
			s := newSession(b, newClient(b, gateway.Config{}), nil)
			turns[i] = func(hold func()) {
				l := lock(b, s, name)
				hold()
				unlock(b, l)
			}
		}
		handOver(b, turns)
	})
	b.Run("clientv3", func(b *testing.B) {
		turns := make([]func(hold func()), 2)
		name := fresh(b)
		for i := range turns {
			s, err := concurrency.NewSession(cluster.ClientV3(b))
			if err != nil {
				b.Fatal(err)
			}
			m := concurrency.NewMutex(s, name)
			turns[i] = func(hold func()) {
				if err := m.Lock(b.Context()); err != nil {
					b.Error(err)
				}
				hold()
				if err := m.Unlock(b.Context()); err != nil {
					b.Error(err)
				}
			}
		}
		handOver(b, turns)
	})
}

func handOver(b *testing.B, turns []func(hold func())) {
	var gaps []time.Duration
	var freed time.Time // the lock itself guards both
	hold := func() {
		if !freed.IsZero() {
			gaps = append(gaps, time.Since(freed))
		}
		pause(b, b.Context(), 5*time.Millisecond, "hold")
		freed = time.Now()
	}
	for b.Loop() {
		var all sync.WaitGroup
		for _, turn := range turns {
			all.Go(func() {
				for range 40 {
					turn(hold)
				}
			})
		}
		all.Wait()
	}
	slices.Sort(gaps)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(gaps[len(gaps)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(gaps[len(gaps)*99/100].Microseconds())/1000, "ms-p99")
}
