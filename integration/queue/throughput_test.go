package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// perRound is how many items pass through each queue in each round.
const perRound = 800

// BenchmarkThroughput sends items through a queue of this library, received in two ways, and
// through the queue of clientv3's recipes, which loses the items of consumers that die. The member
// waits for its disk. Each round measures each queue. The benchmark reports medians, and the
// medians of the rounds' ratios. Items of groups are compared with items without a group.
func BenchmarkThroughput(b *testing.B) {
	own := etcdtest.Start(b, &etcdproc.Options{
		ExtraArgs: []string{"--quota-backend-bytes=1073741824"},
	})
	newParty := func() *session.Session {
		return newSession(b, newClient(b, gateway.Config{Endpoints: own.Endpoints()}), nil)
	}
	from, to := newParty(), newParty()
	peerFrom, peerTo := own.ClientV3(b), own.ClientV3(b)
	for _, parties := range []int{1, 8} {
		b.Run(fmt.Sprintf("%dx%d", parties, parties), func(b *testing.B) {
			speeds := map[string][]float64{}
			for b.Loop() {
				peer := rate(b, parties, recipeQueue(peerFrom, peerTo, fresh(b)))
				speeds["clientv3-items/s"] = append(speeds["clientv3-items/s"], peer)
				measure := func(how string, groups int, consume consumer, base float64) float64 {
					name := fresh(b)
					speed := rate(b, parties, throughput{
						enqueuing(queue.New(from, name, nil), groups),
						consume(queue.New(to, name, nil)),
					})
					speeds[how+"-items/s"] = append(speeds[how+"-items/s"], speed)
					speeds[how+"-ratio"] = append(speeds[how+"-ratio"], speed/base)
					return speed
				}
				measure("receive", 0, receiving, peer)
				plain := measure("consume", 0, consuming, peer)
				measure("100-groups", 100, consuming, plain)
				measure("10000-groups", 10_000, consuming, plain)
			}
			b.ReportMetric(0, "ns/op")
			for unit, all := range speeds {
				slices.Sort(all)
				b.ReportMetric(all[len(all)/2], unit)
			}
		})
	}
}

// throughput is a queue of either library. put enqueues n items one after another, take receives
// and acks n in all.
type throughput struct {
	put  func(n int) error
	take func(parties, n int) error
}

// rate returns how many items pass in a second.
func rate(b *testing.B, parties int, q throughput) float64 {
	var all sync.WaitGroup
	begin := time.Now()
	for range parties {
		all.Go(func() {
			if err := q.put(perRound / parties); err != nil {
				b.Error(err)
			}
		})
	}
	if err := q.take(parties, perRound); err != nil {
		b.Error(err)
	}
	all.Wait()
	return perRound / time.Since(begin).Seconds()
}

// together runs do n times in all, in as many goroutines as there are parties.
func together(parties, n int, do func() error) error {
	var all sync.WaitGroup
	errs := make([]error, parties)
	for i := range parties {
		all.Go(func() {
			for range n / parties {
				if errs[i] = do(); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func recipeQueue(from, to *clientv3.Client, name string) throughput {
	put := recipe.NewQueue(from, name)
	return throughput{
		func(n int) error { return together(1, n, func() error { return put.Enqueue("an item") }) },
		func(parties, n int) error {
			take := recipe.NewQueue(to, name)
			return together(parties, n, func() error { _, err := take.Dequeue(); return err })
		},
	}
}

// enqueuing enqueues items of so many groups in turn, or without a group.
func enqueuing(q *queue.Queue, groups int) func(n int) error {
	ctx := context.Background()
	var count atomic.Int64
	return func(n int) error {
		return together(1, n, func() error {
			var opts queue.EnqueueOptions
			if groups > 0 {
				opts.Group = fmt.Sprint(count.Add(1) % int64(groups))
			}
			_, err := q.Enqueue(ctx, []byte("an item"), &opts)
			return err
		})
	}
}

type consumer func(q *queue.Queue) func(parties, n int) error

func receiving(q *queue.Queue) func(parties, n int) error {
	ctx := context.Background()
	return func(parties, n int) error {
		return together(parties, n, func() error {
			m, err := q.Receive(ctx)
			if err != nil {
				return err
			}
			return m.Ack(ctx)
		})
	}
}

func consuming(q *queue.Queue) func(parties, n int) error {
	return func(parties, n int) error {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var seen atomic.Int64
		err := q.Consume(ctx, parties, func(context.Context, *queue.Message) error {
			if seen.Add(1) == int64(n) {
				stop()
			}
			return nil
		})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
}
