package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

const claims = "jobs//c/"

func prefetching(n, maxAttempts int) *queue.Options {
	return &queue.Options{Prefetch: n, MaxAttempts: maxAttempts}
}

// TestReceiveClaimsOneItem: without a Prefetch nothing is claimed that nobody has received.
func TestReceiveClaimsOneItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fill(t, q, "a", "b", "c")
		for _, value := range []string{"a", "b"} {
			m := receive(t, q, value, 1)
			synctest.Wait()
			if got := etcd.Keys(claims); len(got) != 1 {
				t.Errorf("beside %q: claims %q", value, got)
			}
			ack(t, m)
		}
		if got := etcd.Keys(claims); len(got) != 0 {
			t.Errorf("claims %q", got)
		}
	})
}

// TestPrefetchClaimsAhead: a Receive claims as many items as Prefetch behind its own, and a later
// one sends no request for an item that is claimed.
func TestPrefetchClaimsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", prefetching(2, 0))
		fill(t, q, "a", "b", "c", "d")
		a := receive(t, q, "a", 1)
		synctest.Wait()
		if got := etcd.Keys(claims); len(got) != 3 {
			t.Fatalf("claims %q", got)
		}
		etcd.Freeze()
		b := receive(t, q, "b", 1)
		etcd.Thaw()
		other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		synctest.Wait()
		if m, err := other.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) {
			t.Errorf("another consumer: %+v, %v", m, err)
		}
		ack(t, a)
		ack(t, b)
		ack(t, receive(t, q, "c", 1))
		ack(t, receive(t, q, "d", 1))
		if got := etcd.Keys("jobs//"); len(got) != 1 {
			t.Errorf("left are %q", got)
		}
	})
}

// TestAheadOfALostSession: the items that a session had claimed ahead when it ended are received by
// the next session of the same client, whose cache is the same. They have lost no attempt, though
// the items that had been delivered have.
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
				q := queue.New(s, "jobs", prefetching(2, 2))
				fill(t, q, "a", "b", "c", "d")
				ack(t, receive(t, q, "a", 1))
				receive(t, q, "b", 1) // c and d are claimed ahead
				synctest.Wait()
				end(t, server, s)
				synctest.Wait()
				q = queue.New(open(t, c), "jobs", prefetching(1, 2))
				ack(t, receive(t, q, "b", 2))
				ack(t, receive(t, q, "c", 1))
				ack(t, receive(t, q, "d", 1))
			})
		})
	}
}

// TestPrefetchAndMaxAttempts: a delivery of an item that was claimed ahead counts before its
// message is returned, so an item whose consumers crash becomes a dead letter, and no other does.
func TestPrefetchAndMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		c := server.Client(t)
		for i, value := range []string{"a", "b", "c"} {
			s := open(t, c)
			q := queue.New(s, "jobs", prefetching(2, 1))
			if i == 0 {
				fill(t, q, "a", "b", "c")
			}
			receive(t, q, value, 1)
			synctest.Wait()
			server.Revoke(s.Lease())
			<-s.Context().Done()
			synctest.Wait()
		}
		q := queue.New(open(t, c), "jobs", prefetching(2, 1))
		if m, err := q.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) {
			t.Errorf("%+v, %v", m, err)
		}
		if dead := server.Keys("jobs//x/"); len(dead) != 3 {
			t.Errorf("dead letters %q", dead)
		}
	})
}

// TestPrefetchCountsWhatIsGivenBack: without MaxAttempts, an attempt of an item that was claimed
// ahead counts when the message is given back.
func TestPrefetchCountsWhatIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", prefetching(1, 0))
		fill(t, q, "a", "b")
		a, b := receive(t, q, "a", 1), receive(t, q, "b", 1)
		for attempt := range 4 {
			if err := b.Nack(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			b = receive(t, q, "b", attempt+2)
		}
		if err := b.Requeue(t.Context()); err != nil {
			t.Fatal(err)
		}
		b = receive(t, q, "b", 5)
		if err := b.Nack(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		ack(t, a)
		ack(t, receive(t, q, "b", 6))
		if got := server.Keys("jobs//"); len(got) != 1 {
			t.Errorf("left are %q", got)
		}
	})
}

// TestUncertainCount: if the answer to the count of an attempt is lost, the attempt counts once,
// and not at all if its Receive then ends.
func TestUncertainCount(t *testing.T) {
	for _, cut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			server := fakeetcd.Start(t)
			q := queue.New(open(t, server.Client(t)), "jobs", prefetching(1, 5))
			fill(t, q, "a", "b")
			ack(t, receive(t, q, "a", 1)) // b is claimed ahead
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			lost := 0
			server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if !c.IsTxn("jobs//t/") || lost > 0 {
					return c.Apply()
				}
				lost++
				c.Apply()
				if cut {
					cancel()
					return c.Silence()
				}
				return fakeetcd.Lost
			})
			m, err := q.Receive(ctx)
			if lost != 1 || cut != (err != nil) {
				t.Fatalf("%+v, %v; %d answers lost", m, err, lost)
			}
			if cut {
				if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				receive(t, q, "b", 1)
				return
			}
			if err := m.Nack(t.Context(), 0); err != nil || m.Attempt != 1 {
				t.Fatalf("attempt %d, %v", m.Attempt, err)
			}
			receive(t, q, "b", 2)
		})
	}
}

// TestPrefetchOutOfRange is refused by the first call.
func TestPrefetchOutOfRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, fakeetcd.Start(t).Client(t))
		for _, n := range []int{-1, queue.MaxPrefetch + 1} {
			_, err := queue.New(s, "jobs", prefetching(n, 0)).Receive(t.Context())
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("Prefetch %d: %v", n, err)
			}
		}
	})
}
