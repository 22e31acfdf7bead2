package queue_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestADelayedItemFarAhead: a consumer that comes after the Enqueue receives each item when it is
// due, however far ahead that is, and seldom looks for the next.
func TestADelayedItemFarAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		delays := []time.Duration{
			time.Second, 9 * time.Second, 11 * time.Second, time.Minute, 4 * time.Minute,
			50 * time.Minute,
		}
		producer := queue.NewProducer(etcd.Client(t), "jobs", nil)
		for i, d := range delays {
			opts := &queue.EnqueueOptions{Delay: d}
			if _, err := producer.Enqueue(t.Context(), []byte(strconv.Itoa(i)), opts); err != nil {
				t.Fatal(err)
			}
		}
		s, err := session.New(t.Context(), etcd.Client(t), &session.Options{TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(t.Context()) }()
		q, begin := queue.New(s, "jobs", nil), time.Now()
		var reads atomic.Int64
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/range" {
				reads.Add(1)
			}
			return c.Apply()
		})
		for i, d := range delays {
			ack(t, receive(t, q, strconv.Itoa(i), 1))
			if late := time.Since(begin) - d; late < 0 || late > 200*time.Millisecond {
				t.Errorf("an item with a delay of %v: %v late", d, late)
			}
		}
		if n := reads.Load(); n > int64(8*len(delays)) {
			t.Errorf("%d reads", n)
		}
	})
}
