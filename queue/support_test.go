package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func open(t *testing.T, c *gateway.Client) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil && !errors.Is(err, session.ErrLost) {
			t.Error(err)
		}
	})
	return s
}

func fill(t *testing.T, q *queue.Queue, values ...string) {
	t.Helper()
	all := make([][]byte, len(values))
	for i, v := range values {
		all[i] = []byte(v)
	}
	if _, err := q.EnqueueAll(t.Context(), all, nil); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, q *queue.Queue, value string, attempt int) *queue.Message {
	t.Helper()
	m, err := q.Receive(t.Context())
	if err != nil {
		t.Fatalf("instead of %q: %v", value, err)
	}
	if string(m.Value) != value || m.Attempt != attempt {
		t.Fatalf("%q, attempt %d; not %q, attempt %d", m.Value, m.Attempt, value, attempt)
	}
	return m
}

func ack(t *testing.T, m *queue.Message) {
	t.Helper()
	if err := m.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
}
