package queue_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestHooksReportEachMessage: hooks are called for what was added, delivered and ended, with the
// times.
func TestHooksReportEachMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		note := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", &queue.Options{
			MaxAttempts: 3,
			Hooks: queue.Hooks{
				Enqueued: func(_ context.Context, n int) { note("%d enqueued", n) },
				Delivered: func(_ context.Context, m *queue.Message, waited time.Duration) {
					note("%s delivered after %v", m.Value, waited.Round(time.Second))
				},
				Ended: func(
					_ context.Context, m *queue.Message, o queue.Outcome, took time.Duration,
				) {
					note("%s %s after %v", m.Value, o, took.Round(time.Second))
				},
			},
		})
		fill(t, q, "a")
		if _, err := q.EnqueueAll(t.Context(), [][]byte{[]byte("b"), []byte("c")}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		a := receive(t, q, "a", 1)
		time.Sleep(2 * time.Second)
		for range 2 { // the second finds the message ended
			_ = a.Nack(t.Context(), 0)
		}
		if err := receive(t, q, "a", 2).Requeue(t.Context()); err != nil {
			t.Fatal(err)
		}
		ack(t, receive(t, q, "a", 2))
		if err := receive(t, q, "b", 1).Reject(t.Context(), "no"); err != nil {
			t.Fatal(err)
		}
		for attempt := range 3 {
			if err := receive(t, q, "c", attempt+1).Nack(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := q.TryReceive(t.Context()); err == nil {
			t.Error("a fourth attempt")
		}
		want := []string{
			"1 enqueued", "2 enqueued", "a delivered after 1m0s", "a nack after 2s",
			"a delivered after 1m2s", "a requeue after 0s", "a delivered after 1m2s", "a ack after 0s",
			"b delivered after 1m2s", "b reject after 0s",
			"c delivered after 1m2s", "c nack after 0s", "c delivered after 1m2s", "c nack after 0s",
			"c delivered after 1m2s", "c nack after 0s", "c give up after 0s",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("%q", seen)
		}
	})
}
