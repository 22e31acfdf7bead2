package queue_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
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

// TestAheadOfALostSession: what a session had claimed ahead when it ended is received by the next
// one of the same client, whose feed is the same.
func TestAheadOfALostSession(t *testing.T) {
	ends := map[string]func(*testing.T, *fakeetcd.Server, *session.Session){
		"lost": func(_ *testing.T, server *fakeetcd.Server, s *session.Session) {
			server.Revoke(s.Lease())
			<-s.Context().Done()
		},
		"closed": func(t *testing.T, _ *fakeetcd.Server, s *session.Session) {
			t.Helper()
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		},
	}
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := fakeetcd.Start(t)
				c := server.Client(t)
				s := open(t, c)
				q := queue.New(s, "jobs", nil)
				fill(t, q, "a", "b", "c", "d")
				ack(t, receive(t, q, "a", 1))
				ack(t, receive(t, q, "b", 1)) // claims c ahead
				end(t, server, s)
				synctest.Wait()
				q = queue.New(open(t, c), "jobs", nil)
				ack(t, receive(t, q, "c", 2))
				ack(t, receive(t, q, "d", 1))
			})
		})
	}
}

// TestAheadAndMaxAttempts: no item has an attempt less for what happened to a consumer that never
// had it.
func TestAheadAndMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		c := server.Client(t)
		s := open(t, c)
		once := &queue.Options{MaxAttempts: 1}
		q := queue.New(s, "jobs", once)
		fill(t, q, "a", "b", "c")
		ack(t, receive(t, q, "a", 1))
		ack(t, receive(t, q, "b", 1))
		server.Revoke(s.Lease())
		<-s.Context().Done()
		ack(t, receive(t, queue.New(open(t, c), "jobs", once), "c", 1))
	})
}

// TestAheadAtTheEnd: it is there for the next session as soon as the last has been closed.
func TestAheadAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakeetcd.Start(t).Client(t)
		s := open(t, c)
		q := queue.New(s, "jobs", nil)
		fill(t, q, "a", "b", "c", "d")
		ack(t, receive(t, q, "a", 1))
		ack(t, receive(t, q, "b", 1)) // claims c ahead
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		q = queue.New(open(t, c), "jobs", nil)
		synctest.Wait()
		m, err := q.TryReceive(t.Context())
		if err != nil || string(m.Value) != "c" {
			t.Fatalf("%+v, %v", m, err)
		}
		ack(t, m)
	})
}

// TestNackBesideAhead: what is given back at once is received before what was claimed ahead and is
// behind it.
func TestNackBesideAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New(open(t, fakeetcd.Start(t).Client(t)), "jobs", nil)
		fill(t, q, "a", "b", "c", "d", "e")
		ack(t, receive(t, q, "a", 1))
		b := receive(t, q, "b", 1)
		ack(t, receive(t, q, "c", 1)) // claims d ahead
		if err := b.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		ack(t, receive(t, q, "b", 2))
		ack(t, receive(t, q, "d", 1))
		ack(t, receive(t, q, "e", 1))
	})
}

// TestNackBetweenAhead: the same where only some of what was claimed ahead is behind it.
func TestNackBetweenAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New(open(t, fakeetcd.Start(t).Client(t)), "jobs", nil)
		fill(t, q, "a", "b", "c", "d", "e", "f", "g")
		a, b := receive(t, q, "a", 1), receive(t, q, "b", 1)
		c, d := receive(t, q, "c", 1), receive(t, q, "d", 1)
		ack(t, c)
		e := receive(t, q, "e", 1) // right after an end
		if err := a.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() { ack(t, d) })
		both.Go(func() { ack(t, e) })
		both.Wait() // a and f are claimed ahead
		if err := b.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		ack(t, receive(t, q, "a", 2))
		ack(t, receive(t, q, "b", 2))
		ack(t, receive(t, q, "f", 1))
		ack(t, receive(t, q, "g", 1))
	})
}

// TestCutShortBesideAhead: nor is what was claimed ahead received before an item that a Receive
// which was cut short had not yet asked the server for.
func TestCutShortBesideAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		fill(t, q, "a", "b", "c", "d", "e", "f", "g", "h")
		a, b, c := receive(t, q, "a", 1), receive(t, q, "b", 1), receive(t, q, "c", 1)
		ack(t, receive(t, q, "d", 1))
		receive(t, q, "e", 1) // right after an end
		server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.N == 1 {
				c.Sleep(time.Second)
			}
			return c.Apply()
		})
		var all sync.WaitGroup
		all.Go(func() { ack(t, a) }) // is under way, with a claim of f
		synctest.Wait()
		all.Go(func() { receive(t, q, "f", 1) })
		synctest.Wait()
		all.Go(func() { ack(t, b) })
		all.Go(func() { ack(t, c) }) // g and h are claimed ahead, and wait
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if m, err := q.Receive(ctx); err == nil {
			t.Fatalf("received %q", m.Value)
		}
		receive(t, q, "g", 1)
		receive(t, q, "h", 1)
		all.Wait()
	})
}

// TestEnqueueAllIsCheckedFirst: nothing is sent of what cannot be enqueued as a whole, however many
// transactions it takes.
func TestEnqueueAllIsCheckedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		s := open(t, server.Client(t))
		half := bytes.Repeat([]byte("x"), 300<<10)
		many := append(make([][]byte, 150), make([]byte, queue.MaxValue+1))
		for _, c := range []struct {
			name   string
			values [][]byte
			opts   queue.EnqueueOptions
		}{
			{"jobs", [][]byte{half, half}, queue.EnqueueOptions{DedupID: "one"}},
			{"jobs", many, queue.EnqueueOptions{}},
			{"", nil, queue.EnqueueOptions{}},
		} {
			if ids, err := queue.New(s, c.name, nil).EnqueueAll(t.Context(), c.values, &c.opts); !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%q, %d values, %+v: %v, %v", c.name, len(c.values), c.opts, ids, err)
			}
		}
		if keys := server.Keys("jobs//"); len(keys) > 0 {
			t.Errorf("there are %q", keys)
		}
	})
}
