package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestConsumeReleasesTheMessagesClaimedAhead: when Consume returns, it has released the messages
// that it had claimed and not delivered.
func TestConsumeReleasesTheMessagesClaimedAhead(t *testing.T) {
	const items, each, ahead = 400, 40, 16
	name := fresh(t)
	c := newClient(t, gateway.Config{})
	producer := queue.New(newSession(t, c, nil), name, nil)
	if _, err := producer.EnqueueAll(within(t, patience), make([][]byte, items), nil); err != nil {
		t.Fatal(err)
	}
	for left := items; left > 0; left -= each {
		s := newSession(t, c, &session.Options{TTL: time.Minute})
		ctx, stop := context.WithCancel(within(t, patience))
		n := 0
		opts := &queue.Options{Prefetch: ahead, MaxAttempts: 5 * (left / each % 2)}
		err := queue.New(s, name, opts).Consume(ctx, 1,
			func(_ context.Context, m *queue.Message) error {
				if m.Attempt != 1 {
					t.Errorf("attempt %d", m.Attempt)
				}
				if n++; n == each {
					stop()
				}
				return nil
			})
		if !errors.Is(err, context.Canceled) || n != each {
			t.Fatalf("%d items: %v", n, err)
		}
		s.Orphan() // else its claims would last for a minute
		if st := stats(t, producer); st.Claimed != 0 || st.Ready != int64(left-each) {
			t.Fatalf("%+v, not %d", st, left-each)
		}
	}
}
