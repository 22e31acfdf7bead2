package queue_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestConsumeUnwinds: a function that ends its goroutine, as t.FailNow does, ends Consume, and its
// message comes again.
func TestConsumeUnwinds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, m *queue.Message){
		"at once":      func(context.Context, *queue.Message) {},
		"after a Nack": func(ctx context.Context, m *queue.Message) { _ = m.Nack(ctx, time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
				fill(t, q, "a")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := q.Consume(ctx, 2, func(ctx context.Context, m *queue.Message) error {
					end(ctx, m)
					runtime.Goexit()
					return nil
				})
				if err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Consume = %v", err)
				}
				ack(t, receive(t, q, "a", 2))
			})
		})
	}
}
