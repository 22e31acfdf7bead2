package queue_test

import (
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestOwnNackNeedsNoWatch: what a process gives back at once is what it receives next, although the
// watch tells it nothing, and although the end of a message mostly claims the next item.
func TestOwnNackNeedsNoWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		t.Cleanup(func() { server.BreakWatches(false) })
		fill(t, q, "a", "b", "c")
		ack(t, receive(t, q, "a", 1))
		m := receive(t, q, "b", 1) // right after an end: the next end would claim ahead
		synctest.Wait()
		server.BreakWatches(true)
		for attempt := range 3 {
			if err := m.Nack(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			m = receive(t, q, "b", attempt+2)
		}
		server.BreakWatches(false)
		synctest.Wait()
		if err := m.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		ack(t, receive(t, q, "b", 5))
		ack(t, receive(t, q, "c", 1))
	})
}
