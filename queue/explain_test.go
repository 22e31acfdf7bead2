package queue_test

import (
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestExplainOfAQueue: an empty queue, one with an item, and a paused one.
func TestExplainOfAQueue(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		q := queue.New(bubble.Session(t, etcd), "jobs", nil)
		text := func() string {
			e, err := q.Explain(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return e.String()
		}
		if got := text(); !strings.Contains(got, "an item has to become ready") {
			t.Errorf("empty: %q", got)
		}
		if _, err := q.Enqueue(t.Context(), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		if got := text(); got != "free" {
			t.Errorf("an item: %q", got)
		}
		if err := q.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := text(); got != "the queue is paused and has to be resumed" {
			t.Errorf("paused: %q", got)
		}
	})
}
