package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestGroupsAreInOrderWhileTheWatchIsLate: a consumer that has read a backlog up to a number that
// no item had yet, and then reads on while the watch is late, claims no item of a group before an
// earlier one.
func TestGroupsAreInOrderWhileTheWatchIsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// A first read takes 32 items, and the next one reaches 4096 numbers further.
		const backlog, next, fillers = 40, 4101, 40
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fillEmpty(t, q, nil, backlog)
		etcd.Put("jobs//tail", fmt.Sprint(next))
		for range backlog {
			ack(t, receive(t, q, "", 1))
		}
		synctest.Wait()
		etcd.BreakWatches(true)
		producer := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fillGroup(t, producer, queue.EnqueueOptions{}, "a1")
		fillEmpty(t, producer, nil, fillers)
		fillGroup(t, producer, queue.EnqueueOptions{}, "a2")
		var got []string
		for {
			m, err := q.TryReceive(t.Context())
			if errors.Is(err, queue.ErrEmpty) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(m.Value))
		}
		if !slices.Contains(got, "a1") || slices.Contains(got, "a2") || len(got) != fillers+1 {
			t.Errorf("%q", got)
		}
	})
}

// TestALateReadRestoresNoItem: an item that the watch has reported as gone stays gone when the
// answer to an earlier read comes, and the next item of its group has its turn.
func TestALateReadRestoresNoItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fill(t, other, "first")
		ack(t, receive(t, q, "first", 1))
		fillGroup(t, other, queue.EnqueueOptions{}, "a1")
		a1 := receive(t, other, "a1", 1)
		synctest.Wait()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			answer := c.Apply()
			if c.IsTxn("jobs//paused") {
				c.Sleep(time.Second)
			}
			return answer
		})
		go func() {
			time.Sleep(time.Second / 2)
			ack(t, a1)
		}()
		tryNone(t, q)
		etcd.Script(nil)
		fillGroup(t, other, queue.EnqueueOptions{}, "a2")
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		if m, err := q.Receive(ctx); err != nil || string(m.Value) != "a2" {
			t.Errorf("%+v, %v", m, err)
		}
	})
}
