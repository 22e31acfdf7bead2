package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestMaxInFlight: all consumers together have as many items as MaxInFlight. Whatever ends one of
// them lets the next be received.
func TestMaxInFlight(t *testing.T) {
	t.Parallel()
	ends := map[string]func(ctx context.Context, etcd *fakeetcd.Server, m *queue.Message) error{
		"Ack": func(ctx context.Context, _ *fakeetcd.Server, m *queue.Message) error {
			return m.Ack(ctx)
		},
		"AckWith": func(ctx context.Context, _ *fakeetcd.Server, m *queue.Message) error {
			return m.AckWith(ctx, gateway.OpPut("done", nil))
		},
		"Nack": func(ctx context.Context, _ *fakeetcd.Server, m *queue.Message) error {
			return m.Nack(ctx, 0)
		},
		"Nack later": func(ctx context.Context, _ *fakeetcd.Server, m *queue.Message) error {
			return m.Nack(ctx, time.Hour)
		},
		"Requeue": func(ctx context.Context, _ *fakeetcd.Server, m *queue.Message) error {
			return m.Requeue(ctx)
		},
		"Reject": func(ctx context.Context, _ *fakeetcd.Server, m *queue.Message) error {
			return m.Reject(ctx, "no")
		},
		"claim deleted": func(ctx context.Context, etcd *fakeetcd.Server, m *queue.Message) error {
			etcd.Delete(m.Key())
			if err := m.Ack(ctx); !errors.Is(err, session.ErrNotHeld) {
				return err
			}
			return nil
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				two := &queue.Options{MaxInFlight: 2}
				q := queue.New(open(t, etcd.Client(t)), "jobs", two)
				other := queue.New(open(t, etcd.Client(t)), "jobs", two)
				fill(t, q, "a", "b", "c", "d")
				a := receive(t, q, "a", 1)
				synctest.Wait()
				receive(t, other, "b", 1)
				nothing(t, q)
				nothing(t, other)
				got := make(chan *queue.Message, 1)
				go func() {
					m, err := other.Receive(t.Context())
					if err != nil {
						t.Error(err)
					}
					got <- m
				}()
				synctest.Wait()
				if err := end(t.Context(), etcd, a); err != nil {
					t.Error(err)
				}
				ack(t, <-got)
				if slots := etcd.Keys("jobs//m/"); len(slots) != 1 {
					t.Errorf("slots %q", slots)
				}
			})
		})
	}
}

// TestSlotsOfALostSession are free when its lease has ended.
func TestSlotsOfALostSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		one := &queue.Options{MaxInFlight: 1, Prefetch: 3}
		s := open(t, etcd.Client(t))
		q := queue.New(s, "jobs", one)
		other := queue.New(open(t, etcd.Client(t)), "jobs", one)
		fill(t, q, "a", "b")
		receive(t, q, "a", 1)
		nothing(t, other)
		etcd.Revoke(s.Lease())
		synctest.Wait()
		ack(t, receive(t, other, "a", 2))
		ack(t, receive(t, other, "b", 1))
	})
}

// TestConsumersRaceForSlots: many functions of two processes never work on more items than
// MaxInFlight, and all items are worked on.
func TestConsumersRaceForSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const items, limit = 60, 3
		etcd := fakeetcd.Start(t)
		opts := &queue.Options{MaxInFlight: limit}
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
		defer stop()
		var all sync.WaitGroup
		var mu sync.Mutex
		now, most, done := 0, 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			now += n
			most = max(most, now)
			if n < 0 {
				done++
			}
			if done == items {
				stop()
			}
		}
		for i := range 2 {
			q := queue.New(open(t, etcd.Client(t)), "jobs", opts)
			if i == 0 {
				fill(t, q, numbered(items)...)
			}
			all.Go(func() {
				_ = q.Consume(ctx, 4, func(context.Context, *queue.Message) error {
					count(1)
					time.Sleep(time.Second)
					count(-1)
					return nil
				})
			})
		}
		begin := time.Now()
		all.Wait()
		if most != limit || done != items {
			t.Errorf("%d at a time, %d items", most, done)
		}
		if took := time.Since(begin); took > 2*items/limit*time.Second {
			t.Errorf("took %v", took)
		}
		if got := etcd.Keys("jobs//"); len(got) != 1 {
			t.Errorf("left are %q", got)
		}
	})
}

// TestWaitingWhileAllSlotsAreTaken: a consumer waits for a slot while there are more items than the
// cache has read and none of those that it knows can be claimed.
func TestWaitingWhileAllSlotsAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", &queue.Options{MaxInFlight: 1})
		var all [][]byte
		for _, value := range numbered(300) {
			all = append(all, []byte(value))
		}
		opts := &queue.EnqueueOptions{Group: "g"}
		if _, err := q.EnqueueAll(t.Context(), all, opts); err != nil {
			t.Fatal(err)
		}
		first, err := q.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		next := make(chan *queue.Message, 1)
		go func() {
			m, err := q.Receive(t.Context())
			if err != nil {
				t.Error(err)
			}
			next <- m
		}()
		time.Sleep(time.Second) // does not end in a loop
		ack(t, first)
		ack(t, <-next)
	})
}

// TestPrefetchWithMaxInFlight: an ack does not wait for others, because consumers wait for its
// slot.
func TestPrefetchWithMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		opts := &queue.Options{MaxInFlight: 1, Prefetch: 16}
		q := queue.New(open(t, etcd.Client(t)), "jobs", opts)
		fill(t, q, numbered(10)...)
		began, handled := time.Now(), 0
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		err := q.Consume(ctx, 2, func(context.Context, *queue.Message) error {
			if handled++; handled == 10 {
				stop()
			}
			return nil
		})
		if took := time.Since(began); !errors.Is(err, context.Canceled) || took > time.Millisecond {
			t.Errorf("Consume = %v after %v", err, took)
		}
	})
}
