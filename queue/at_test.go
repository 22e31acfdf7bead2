package queue_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestAnItemIsHeldBackUntilItsTime: At holds an item back until a time, and a past time does not.
func TestAnItemIsHeldBackUntilItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		begin := time.Now()
		for value, at := range map[string]time.Time{
			"later": begin.Add(30 * time.Minute), "yesterday": begin.Add(-24 * time.Hour),
		} {
			opts := &queue.EnqueueOptions{At: at}
			if _, err := q.Enqueue(t.Context(), []byte(value), opts); err != nil {
				t.Fatal(err)
			}
		}
		ack(t, receive(t, q, "yesterday", 1))
		ack(t, receive(t, q, "later", 1))
		if waited := time.Since(begin); waited < 30*time.Minute || waited > 31*time.Minute {
			t.Errorf("after %v", waited)
		}
		for name, opts := range map[string]queue.EnqueueOptions{
			"two times":   {At: begin, Delay: time.Second},
			"the far end": {At: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)},
			"no end":      {At: time.Unix(1<<62, 0)},
		} {
			if _, err := q.Enqueue(t.Context(), nil, &opts); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestConsumeGivesBackWithTheBackoffOfTheOptions: the delay is the one of the options, for each
// attempt.
func TestConsumeGivesBackWithTheBackoffOfTheOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", &queue.Options{
			Backoff: func(attempt int) time.Duration {
				return time.Duration(attempt-1) * 10 * time.Second
			},
		})
		fill(t, q, "a")
		ctx, stop := context.WithCancel(t.Context())
		var at []time.Duration
		begin := time.Now()
		err := q.Consume(ctx, 1, func(context.Context, *queue.Message) error {
			if at = append(at, time.Since(begin).Round(time.Second)); len(at) == 4 {
				stop()
				return nil
			}
			return errors.New("failed")
		})
		if want := []time.Duration{0, 0, 10 * time.Second, 30 * time.Second}; !errors.Is(
			err, context.Canceled) || !slices.Equal(at, want) {
			t.Errorf("at %v, %v", at, err)
		}
	})
}
