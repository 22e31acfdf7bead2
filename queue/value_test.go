package queue_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestValueByWatch: a claim of an item that the watch has told about does not read it, and yet is
// of the value that the item has, also when somebody has written it again, or the caller has
// written over the one it got.
func TestValueByWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		if _, err := q.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) { // now the watch stands
			t.Fatal(err)
		}
		for _, value := range []string{"one", "two", "three", strings.Repeat("large", 1<<10)} {
			if _, err := q.Enqueue(t.Context(), []byte(value), nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		reads := 0
		server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			a := c.Apply()
			if c.IsTxn("jobs//q/") && strings.Contains(string(a.Body), "response_range") {
				reads++
			}
			return a
		})
		receive := func(value string, attempt, wantReads int) *queue.Message {
			t.Helper()
			reads = 0
			m, err := q.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Value) != value || m.Attempt != attempt || reads != wantReads {
				t.Fatalf("%.10q, attempt %d, %d reads; not %.10q, attempt %d, %d reads", m.Value, m.Attempt,
					reads, value, attempt, wantReads)
			}
			return m
		}
		m := receive("one", 1, 0)
		copy(m.Value, "xxx")
		if err := m.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		m = receive("one", 2, 1)
		left := server.Keys("jobs//q/")
		kv, _ := server.Get(left[1])
		server.Put(left[1], strings.Replace(string(kv.Value), "\ntwo", "\n2", 1))
		if err := m.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{"2", "three", strings.Repeat("large", 1<<10)} {
			m, err := q.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Value) != value || m.Attempt != 1 {
				t.Fatalf("%.10q, attempt %d, not %.10q", m.Value, m.Attempt, value)
			}
			if err := m.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
