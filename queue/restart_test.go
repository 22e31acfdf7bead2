package queue_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// deleteQueue deletes all keys of a queue, as an operator may while it has no items in use, so that
// the numbers begin again.
func deleteQueue(etcd *fakeetcd.Server) {
	for _, key := range etcd.Keys("jobs//") {
		etcd.Delete(key)
	}
}

// TestAQueueThatBeginsAgainWithoutTheWatch: gaps of the numbers before hide no new item, although
// the watch reports nothing.
func TestAQueueThatBeginsAgainWithoutTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		flood(t, q, 300, nil)
		tryNone(t, q) // stores the gaps
		synctest.Wait()
		if _, ok := etcd.Get("jobs//gaps"); !ok {
			t.Fatal("no gaps are stored")
		}
		etcd.BreakWatches(true)
		deleteQueue(etcd)
		put(t, other, "new", nil)
		ack(t, try(t, q, "new"))
	})
}

// TestAQueueThatBeginsAgainBehindTheHorizon: a consumer that reads on behind its horizon leaves no
// gap of the numbers before out.
func TestAQueueThatBeginsAgainBehindTheHorizon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const items = 300
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fillEmpty(t, other, &queue.EnqueueOptions{Priority: queue.MaxPriority}, items)
		tail, _ := etcd.Get("jobs//tail")
		etcd.Put("jobs//gaps", fmt.Sprintf("%d 9/%016d-9/%016d", tail.CreateRevision, 0, items))
		ack(t, try(t, q, ""))
		deleteQueue(etcd)
		put(t, other, "new", nil)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		m, err := q.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ack(t, m)
	})
}
