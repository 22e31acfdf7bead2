// Package queue_test tests the guarantees of the queue on real etcd.
package queue_test

import (
	"errors"
	"os"
	"testing"

	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// cluster is one member that all tests of the package share unless they would harm it.
var cluster recipetest.Shared

// Short names for helpers that the tests of all recipes share.
var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	newSession = recipetest.NewSession
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	pause      = recipetest.Pause
)

func TestMain(m *testing.M) { cluster.Main(m) }

// plain is a session on the shared cluster.
func plain(tb testing.TB) *session.Session {
	tb.Helper()
	return cluster.NewSession(tb, nil)
}

// sized is small, or large with HOLDFAST_QUEUE_FULL, which is too slow for each commit.
func sized[T any](small, large T) T {
	if os.Getenv("HOLDFAST_QUEUE_FULL") != "" {
		return large
	}
	return small
}

const patience = recipetest.Patience

func enqueue(tb testing.TB, q *queue.Queue, opts *queue.EnqueueOptions, values ...string) {
	tb.Helper()
	for _, v := range values {
		if _, err := q.Enqueue(within(tb, patience), []byte(v), opts); err != nil {
			tb.Fatal(err)
		}
	}
}

// receive receives the next message and checks that it is the expected one.
func receive(tb testing.TB, q *queue.Queue, value string, attempt int) *queue.Message {
	tb.Helper()
	m, err := q.Receive(within(tb, patience))
	if err != nil {
		tb.Fatal(err)
	}
	if string(m.Value) != value || m.Attempt != attempt {
		tb.Fatalf("received %q, attempt %d, not %q, attempt %d", m.Value, m.Attempt, value, attempt)
	}
	return m
}

func ack(tb testing.TB, m *queue.Message) {
	tb.Helper()
	if err := m.Ack(within(tb, patience)); err != nil {
		tb.Fatal(err)
	}
}

func isEmpty(tb testing.TB, q *queue.Queue) {
	tb.Helper()
	if m, err := q.TryReceive(within(tb, patience)); !errors.Is(err, queue.ErrEmpty) {
		tb.Fatalf("TryReceive of an empty queue: %+v, %v", m, err)
	}
}

func stats(tb testing.TB, q *queue.Queue) queue.Stats {
	tb.Helper()
	st, err := q.Stats(within(tb, patience))
	if err != nil {
		tb.Fatal(err)
	}
	return st
}
