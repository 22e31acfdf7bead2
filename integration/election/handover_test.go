package election_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
)

// BenchmarkHandOver reports the time from the beginning of a Resign to the next leader, for this
// library and for clientv3. Four candidates lead in turn, each for 20 ms.
func BenchmarkHandOver(b *testing.B) {
	const candidates = 4
	b.Run("holdfast", func(b *testing.B) {
		turns := make([]func(lead func()), candidates)
		name := fresh(b)
		for i := range turns {
			e := election.New(newSession(b, newClient(b, gateway.Config{}), nil), name, nil)
			turns[i] = func(lead func()) {
				term, err := e.Campaign(b.Context(), "v")
				if err != nil {
					b.Error(err)
					return
				}
				lead()
				if err := term.Resign(b.Context()); err != nil {
					b.Error(err)
				}
			}
		}
		handOver(b, turns)
	})
	b.Run("clientv3", func(b *testing.B) {
		turns := make([]func(lead func()), candidates)
		name := fresh(b)
		for i := range turns {
			e := concurrency.NewElection(newConcurrency(b), name)
			turns[i] = func(lead func()) {
				if err := e.Campaign(b.Context(), "v"); err != nil {
					b.Error(err)
					return
				}
				lead()
				if err := e.Resign(b.Context()); err != nil {
					b.Error(err)
				}
			}
		}
		handOver(b, turns)
	})
}

func handOver(b *testing.B, turns []func(lead func())) {
	var gaps []time.Duration
	var resigned time.Time // the election itself guards both
	lead := func() {
		if !resigned.IsZero() {
			gaps = append(gaps, time.Since(resigned))
		}
		pause(b, b.Context(), 20*time.Millisecond, "term")
		resigned = time.Now()
	}
	for b.Loop() {
		var all sync.WaitGroup
		for _, turn := range turns {
			all.Go(func() {
				for range 25 {
					turn(lead)
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
