package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestAMessageIsEndedWithItsOwnContext: a call that ends a message with the context of the message,
// which ends with it, returns the outcome.
func TestAMessageIsEndedWithItsOwnContext(t *testing.T) {
	t.Parallel()
	type message = queue.Message
	for verb, end := range map[string]func(context.Context, *message) error{
		"Ack": func(ctx context.Context, m *message) error { return m.Ack(ctx) },
		"AckWith": func(ctx context.Context, m *message) error {
			return m.AckWith(ctx, gateway.OpPut("done", nil))
		},
		"Nack":    func(ctx context.Context, m *message) error { return m.Nack(ctx, time.Hour) },
		"Requeue": func(ctx context.Context, m *message) error { return m.Requeue(ctx) },
		"Reject":  func(ctx context.Context, m *message) error { return m.Reject(ctx, "bad") },
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := queue.New(open(t, fakeetcd.Start(t).Client(t)), "jobs", nil)
				fill(t, q, "a")
				ctx, stop := context.WithCancel(t.Context())
				var outcome error
				_ = q.Consume(ctx, 1, func(ctx context.Context, m *message) error {
					defer stop()
					outcome = end(ctx, m)
					return outcome
				})
				if outcome != nil {
					t.Error(outcome)
				}
			})
		})
	}
}
