package queue_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
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

// TestALateLookHidesNoDelayedItem: the answer to a look for delayed items comes after the watch was
// replaced because of a compaction. An item that was put meanwhile is received when it is due.
func TestALateLookHidesNoDelayedItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		producer := queue.NewProducer(etcd.Client(t), "jobs", nil)
		put := func(value string, delay time.Duration) {
			opts := &queue.EnqueueOptions{Delay: delay}
			if _, err := producer.Enqueue(t.Context(), []byte(value), opts); err != nil {
				t.Fatal(err)
			}
		}
		put("late", time.Hour)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		looking := make(chan struct{})
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			answer := c.Apply()
			if c.Path == "/kv/range" && strings.Contains(string(answer.Body), `"kvs"`) && looking != nil {
				close(looking)
				looking = nil
				c.Sleep(gateway.DefaultAttemptTimeout / 2)
			}
			return answer
		})
		begin, looks := time.Now(), looking
		received := make(chan *queue.Message, 1)
		go func() {
			m, err := q.Receive(t.Context())
			if err != nil {
				t.Error(err)
			}
			received <- m
		}()
		<-looks
		etcd.BreakWatches(true)
		put("early", time.Minute)
		etcd.Compact()
		etcd.BreakWatches(false)
		m := <-received
		ack(t, m)
		if took := time.Since(begin); string(m.Value) != "early" || took > 2*time.Minute {
			t.Errorf("%s after %v", m.Value, took)
		}
	})
}
