package holdfastotel

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/holdfast-go/holdfast/holdfasttest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// runLog is the log of a run, which its workers write with their own clocks.
type runLog struct {
	mu          sync.Mutex
	waits, held []time.Duration
}

// histogram returns the only series of a histogram.
func histogram(
	t *testing.T, r sdkmetric.Reader, name string,
) metricdata.HistogramDataPoint[float64] {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == name &&
				len(h.DataPoints) == 1 {
				return h.DataPoints[0]
			}
		}
	}
	t.Fatalf("no histogram %s with one series", name)
	return metricdata.HistogramDataPoint[float64]{}
}

// agrees compares a histogram with the times of a log: their number, their sum, and how many are in
// each bucket.
func agrees(
	t *testing.T, name string, h metricdata.HistogramDataPoint[float64], log []time.Duration,
) {
	t.Helper()
	sum, buckets := 0.0, make([]uint64, len(h.Bounds)+1)
	for _, d := range log {
		sum += d.Seconds()
		i, _ := slices.BinarySearch(h.Bounds, d.Seconds()) // a bound belongs to the bucket below it
		buckets[i]++
	}
	if h.Count != uint64(len(log)) || math.Abs(h.Sum-sum) > 1e-6 ||
		!slices.Equal(h.BucketCounts, buckets) {
		t.Errorf("%s: %d, %v s, %v; the log has %d, %v s, %v", name, h.Count, h.Sum,
			h.BucketCounts, len(log), sum, buckets)
	}
}

// TestTheHistogramsAgreeWithTheLogOfARun: the histograms of waits and holds have exactly the times
// that workers measure themselves, also of holds that are lost, and none of waits that are given
// up.
func TestTheHistogramsAgreeWithTheLogOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := holdfasttest.New(t)
		r, log := sdkmetric.NewManualReader(), &runLog{}
		hooks, err := Session(&Options{
			MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(r)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, random := t.Context(), rand.New(rand.NewPCG(1, 2))
		var workers sync.WaitGroup
		for n := range 8 {
			s := etcd.Session(&session.Options{Hooks: hooks})
			work := make([]time.Duration, 15)
			for i := range work {
				work[i] = time.Duration(1+random.IntN(5000)) * time.Millisecond
			}
			workers.Go(func() {
				for i, d := range work {
					log.turn(t, ctx, s, d, i == 10 && n < 2)
				}
			})
		}
		workers.Wait()
		synctest.Wait()
		if len(log.waits) < 50 || len(log.waits) == 8*15 {
			t.Errorf("%d holds in the log", len(log.waits))
		}
		agrees(t, "waits", histogram(t, r, "holdfast.hold.wait.duration"), log.waits)
		agrees(t, "holds", histogram(t, r, "holdfast.hold.duration"), log.held)
	})
}

// turn locks for d, or gives up after 15 s. If broken is set, another client deletes the lock's
// key.
func (l *runLog) turn(
	t *testing.T, ctx context.Context, s *session.Session, d time.Duration, broken bool,
) {
	t.Helper()
	short, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	asked := time.Now()
	lock, err := mutex.New(s, "jobs", nil).Lock(short)
	if err != nil {
		if short.Err() == nil {
			t.Error(err)
		}
		return
	}
	granted := time.Now()
	time.Sleep(max(d, 2*time.Second)) // a deleted key is seen from 1 s on
	if broken {
		if _, err := s.Client().Delete(ctx, lock.Key()); err != nil {
			t.Error(err)
		}
		<-lock.Context().Done()
	} else if err := lock.Unlock(ctx); err != nil {
		t.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waits = append(l.waits, granted.Sub(asked))
	l.held = append(l.held, time.Since(granted))
}
