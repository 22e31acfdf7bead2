package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// putDue puts delayed items that are due.
func putDue(etcd *fakeetcd.Server, n int) {
	for i := range n {
		etcd.Put(fmt.Sprintf("jobs//d/000000000000001/a-%09d", i),
			fmt.Sprintf(`{"id":"a-%09d"}`+"\ndue", i))
	}
}

// TestDueItemsDoNotDelayOthers: an item that is ready is received before the delayed items that are
// due are moved, and they are moved between deliveries.
func TestDueItemsDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const due = 100
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fill(t, q, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
		urgent := &queue.EnqueueOptions{Priority: 9}
		if _, err := q.Enqueue(t.Context(), []byte("urgent"), urgent); err != nil {
			t.Fatal(err)
		}
		putDue(etcd, due)
		calls := counted(etcd, apply)
		ack(t, receive(t, q, "urgent", 1))
		if n := calls.Load(); n > 8 {
			t.Errorf("%d requests for the urgent item", n)
		}
		for _, value := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			ack(t, receive(t, q, value, 1))
			synctest.Wait()
		}
		if left := len(etcd.Keys("jobs//d/")); left > due/2 {
			t.Errorf("%d of %d due items wait for the ready ones", left, due)
		}
		for range due {
			ack(t, receive(t, q, "due", 1))
		}
	})
}

// TestCorruptTailBesideReadyItems: items that are ready are received although the delayed ones
// cannot be moved.
func TestCorruptTailBesideReadyItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fill(t, q, "a", "b")
		putDue(etcd, 3)
		etcd.Put("jobs//tail", "x")
		ack(t, receive(t, q, "a", 1))
		ack(t, receive(t, q, "b", 1))
	})
}

// TestForeignKeysAmongDelayed: keys of another program do not hide the delayed items behind them.
func TestForeignKeysAmongDelayed(t *testing.T) {
	t.Parallel()
	for name, foreign := range map[string][]string{
		"one":        {"!"},
		"many":       strings.Split(strings.Repeat("000/x,", 40), ","),
		"in between": {"0000/x", "0009/x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				for i, key := range foreign {
					etcd.Put(fmt.Sprintf("jobs//d/%s%d", key, i), "foreign")
				}
				q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
				later := &queue.EnqueueOptions{Delay: time.Minute}
				if _, err := q.Enqueue(t.Context(), []byte("later"), later); err != nil {
					t.Fatal(err)
				}
				q = queue.New(open(t, etcd.Client(t)), "jobs", nil) // knows nothing by a watch
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				m, err := q.Receive(ctx)
				if err != nil {
					t.Fatal(err)
				}
				ack(t, m)
				if _, err := q.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) {
					t.Error(err)
				}
			})
		})
	}
}
