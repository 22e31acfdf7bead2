package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestRoomForSome: of several items, as many are put as there is room for, like single ones.
func TestRoomForSome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", &queue.Options{MaxLength: 10})
		fill(t, q, "first")
		values := make([][]byte, 10)
		now := &queue.EnqueueOptions{NoWait: true}
		ids, err := q.EnqueueAll(t.Context(), values[:5], now)
		if len(ids) != 5 || err != nil {
			t.Fatalf("%q, %v", ids, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ids, err = q.EnqueueAll(ctx, values, nil)
		if len(ids) != 4 || !errors.Is(err, context.DeadlineExceeded) ||
			errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("%d of 10 were put: %v", len(ids), err)
		}
		done := make(chan error)
		go func() {
			ids, err := q.EnqueueAll(t.Context(), values, nil)
			if len(ids) != len(values) {
				t.Errorf("%d IDs", len(ids))
			}
			done <- err
		}()
		for n := range 20 {
			if length := len(etcd.Keys("jobs//q/")); length > 10 {
				t.Errorf("%d items", length)
			}
			m, err := q.Receive(t.Context())
			if err != nil {
				t.Fatalf("item %d: %v", n, err)
			}
			ack(t, m)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if left := etcd.Keys("jobs//q/"); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// TestCountsOncePerRoom: a producer counts once for as many items as there is room for, and
// producers that wait count once and not at each removal.
func TestCountsOncePerRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit, items = 50, 200
		etcd := fakeetcd.Start(t)
		consumer := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		q := queue.New(open(t, etcd.Client(t)), "jobs", &queue.Options{MaxLength: limit})
		counts := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if strings.Contains(string(c.Body), `"count_only":true`) && c.IsTxn("jobs//d/") {
				counts++
			}
			return c.Apply()
		})
		for range limit {
			fill(t, q, "x")
		}
		if counts > 2 {
			t.Errorf("%d counts for %d items in an empty queue", counts, limit)
		}
		counts = 0
		done := make(chan struct{})
		for range 4 {
			go func() {
				for range items / 4 {
					if _, err := q.Enqueue(t.Context(), nil, nil); err != nil {
						t.Error(err)
					}
				}
				done <- struct{}{}
			}()
		}
		for range limit + items {
			m, err := consumer.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(etcd.Keys("jobs//q/")); n > limit {
				t.Errorf("%d items", n)
			}
			ack(t, m)
			synctest.Wait()
		}
		for range 4 {
			<-done
		}
		if counts > items/8 { // about 10: the watch may be later than the answer to an append
			t.Errorf("%d counts for %d items in a full queue", counts, items)
		}
	})
}

// TestRejectRemembersDedupID: the ID of an item that was rejected is remembered, so that the same
// item is not queued again.
func TestRejectRemembersDedupID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		once := &queue.EnqueueOptions{DedupID: "one"}
		id, err := q.Enqueue(t.Context(), []byte("a"), once)
		if err != nil {
			t.Fatal(err)
		}
		if err := receive(t, q, "a", 1).Reject(t.Context(), "bad"); err != nil {
			t.Fatal(err)
		}
		again, err := q.Enqueue(t.Context(), []byte("a"), once)
		if err != nil || again != id || len(etcd.Keys("jobs//q/")) > 0 {
			t.Errorf("%s after %s, %v", again, id, err)
		}
		time.Sleep(2*queue.DefaultDedupWindow + time.Minute)
		if again, err = q.Enqueue(t.Context(), []byte("a"), once); err != nil || again == id {
			t.Errorf("%s after the window: %v", again, err)
		}
	})
}
