package mutex_test

import (
	"fmt"
	"sync"
	"testing"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
)

// BenchmarkOwnLocks measures goroutines of one session that acquire and release locks of their own,
// for this library and for clientv3.
func BenchmarkOwnLocks(b *testing.B) {
	for _, goroutines := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("c%d/holdfast", goroutines), func(b *testing.B) {
			s := newSession(b, newClient(b, gateway.Config{}), nil)
			name := fresh(b)
			inParallel(b, goroutines, func(i int) {
				l, err := mutex.New(s, fmt.Sprintf("%s-%d", name, i), nil).Lock(b.Context())
				if err != nil {
					b.Error(err)
					return
				}
				if err := l.Unlock(b.Context()); err != nil {
					b.Error(err)
				}
			})
		})
		b.Run(fmt.Sprintf("c%d/clientv3", goroutines), func(b *testing.B) {
			s, err := concurrency.NewSession(cluster.ClientV3(b))
			if err != nil {
				b.Fatal(err)
			}
			name := fresh(b)
			inParallel(b, goroutines, func(i int) {
				m := concurrency.NewMutex(s, fmt.Sprintf("%s-%d", name, i))
				if err := m.Lock(b.Context()); err != nil {
					b.Error(err)
				}
				if err := m.Unlock(b.Context()); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// inParallel divides b.N runs of fn among goroutines.
func inParallel(b *testing.B, goroutines int, fn func(i int)) {
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range goroutines {
		all.Go(func() {
			for range b.N / goroutines {
				fn(i)
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N/goroutines*goroutines)/b.Elapsed().Seconds(), "locks/s")
}
