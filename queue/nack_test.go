package queue_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/internal/etcdscript"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestOwnNackNeedsNoWatch: what a process gives back at once is what it receives next, although the watch tells it nothing,
// and although the end of a message mostly claims the next item.
func TestOwnNackNeedsNoWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := etcdscript.Start(t)
		s, err := session.New(t.Context(), server.Client(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			server.BreakWatches(false)
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		q := queue.New(s, "jobs", nil)
		if _, err := q.EnqueueAll(t.Context(), [][]byte{[]byte("a"), []byte("b"), []byte("c")}, nil); err != nil {
			t.Fatal(err)
		}
		receive := func(value string, attempt int) *queue.Message {
			t.Helper()
			m, err := q.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Value) != value || m.Attempt != attempt {
				t.Fatalf("%q, attempt %d; not %q, attempt %d", m.Value, m.Attempt, value, attempt)
			}
			return m
		}
		if err := receive("a", 1).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := receive("b", 1) // right after an end: the next end would claim ahead
		synctest.Wait()
		server.BreakWatches(true)
		for attempt := range 3 {
			if err := m.Nack(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			m = receive("b", attempt+2)
		}
		server.BreakWatches(false)
		synctest.Wait()
		if err := m.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := receive("b", 5).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := receive("c", 1).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
