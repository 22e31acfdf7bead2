package queue_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// fillGroup enqueues items whose values begin with the name of their group.
func fillGroup(t *testing.T, q *queue.Queue, opts queue.EnqueueOptions, values ...string) {
	t.Helper()
	for _, v := range values {
		opts.Group = v[:1]
		if _, err := q.Enqueue(t.Context(), []byte(v), &opts); err != nil {
			t.Fatal(err)
		}
	}
}

func nothing(t *testing.T, q *queue.Queue) {
	t.Helper()
	synctest.Wait()
	if m, err := q.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) {
		t.Fatalf("received %+v, %v", m, err)
	}
}

// TestGroupsAreInOrder: of each group one item is delivered at a time, the first, to one of two
// consumers. Other groups and items without a group do not wait for it.
func TestGroupsAreInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fillGroup(t, q, queue.EnqueueOptions{}, "a1", "a2", "b1", "a3", "b2")
		fill(t, q, "x")
		a1 := receive(t, q, "a1", 1)
		synctest.Wait()
		b1 := receive(t, other, "b1", 1)
		x := receive(t, q, "x", 1)
		nothing(t, q)
		nothing(t, other)
		ack(t, a1)
		synctest.Wait()
		a2 := receive(t, other, "a2", 1)
		if a2.Group != "a" || x.Group != "" {
			t.Errorf("groups %q, %q", a2.Group, x.Group)
		}
		nothing(t, q)
		ack(t, b1)
		synctest.Wait()
		ack(t, receive(t, q, "b2", 1))
		ack(t, a2)
		ack(t, x)
		ack(t, receive(t, q, "a3", 1))
		if got := etcd.Keys("jobs//"); len(got) != 1 {
			t.Errorf("left are %q", got)
		}
	})
}

// TestPerGroup: as many items of a group as PerGroup are delivered at a time, the first ones.
func TestPerGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		two := &queue.Options{PerGroup: 2}
		q := queue.New(open(t, etcd.Client(t)), "jobs", two)
		fillGroup(t, q, queue.EnqueueOptions{}, "a1", "a2", "a3", "a4")
		a1, a2 := receive(t, q, "a1", 1), receive(t, q, "a2", 1)
		nothing(t, q)
		nothing(t, queue.New(open(t, etcd.Client(t)), "jobs", two))
		ack(t, a2)
		synctest.Wait()
		receive(t, q, "a3", 1)
		nothing(t, q)
		if err := a1.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		ack(t, receive(t, q, "a1", 2))
		synctest.Wait()
		receive(t, q, "a4", 1)
	})
}

// TestGroupWaitsForItsRetry: an item that is given back keeps its place in its group, with and
// without a delay, and when its consumer dies. The rest of the group waits for it, for all
// consumers, also those that come later.
func TestGroupWaitsForItsRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd.Client(t))
		q := queue.New(s, "jobs", nil)
		other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fillGroup(t, q, queue.EnqueueOptions{}, "a1", "a2", "b1")
		nack := func(m *queue.Message, delay time.Duration) {
			t.Helper()
			if err := m.Nack(t.Context(), delay); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		nack(receive(t, q, "a1", 1), 0)
		nack(receive(t, other, "a1", 2), time.Minute)
		b1 := receive(t, q, "b1", 1)
		nothing(t, q)
		nothing(t, other)
		nothing(t, queue.New(open(t, etcd.Client(t)), "jobs", nil))
		begin := time.Now()
		receive(t, q, "a1", 3)
		if waited := time.Since(begin); waited != time.Minute {
			t.Errorf("after %v", waited)
		}
		etcd.Revoke(s.Lease())
		synctest.Wait()
		ack(t, receive(t, other, "a1", 4))
		synctest.Wait()
		ack(t, receive(t, other, "a2", 1))
		ack(t, receive(t, other, "b1", 2))
		if err := b1.Ack(t.Context()); err == nil {
			t.Error("an Ack of a session that is lost")
		}
		if got := etcd.Keys("jobs//"); len(got) != 1 {
			t.Errorf("left are %q", got)
		}
	})
}

// TestGroupGoesOn after an item that was rejected. That one comes back at the end of its group, as
// a delayed item does when it is due.
func TestGroupGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		fillGroup(t, q, queue.EnqueueOptions{Delay: time.Second}, "a3")
		fillGroup(t, q, queue.EnqueueOptions{}, "a1", "a2")
		if err := receive(t, q, "a1", 1).Reject(t.Context(), "no"); err != nil {
			t.Fatal(err)
		}
		for d, err := range q.DeadLetters(t.Context()) {
			if err != nil || d.Group != "a" {
				t.Errorf("%+v, %v", d, err)
			}
		}
		if _, err := q.Redrive(t.Context()); err != nil {
			t.Fatal(err)
		}
		ack(t, receive(t, q, "a2", 1))
		a1 := receive(t, q, "a1", 1)
		time.Sleep(2 * time.Second)
		nothing(t, q) // a3 is put behind a1
		ack(t, a1)
		ack(t, receive(t, q, "a3", 1))
	})
}

// TestBlockedGroupHidesNoOther: a group whose first item is held and that fills more than a window
// of the cache does not delay the items behind it.
func TestBlockedGroupHidesNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		other := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		values := make([][]byte, 1000)
		group := &queue.EnqueueOptions{Group: "a"}
		if _, err := other.EnqueueAll(t.Context(), values, group); err != nil {
			t.Fatal(err)
		}
		fillGroup(t, other, queue.EnqueueOptions{}, "b1", "b2")
		receive(t, other, "", 1)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		ack(t, receive(t, q, "b1", 1))
		synctest.Wait()
		ack(t, receive(t, q, "b2", 1))
		nothing(t, q)
	})
}

// TestGroupsThatCannotBe are refused before a request is sent.
func TestGroupsThatCannotBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd.Client(t))
		q := queue.New(s, "jobs", nil)
		for _, group := range []string{strings.Repeat("x", queue.MaxGroup+1), "a\xff"} {
			_, err := q.Enqueue(t.Context(), nil, &queue.EnqueueOptions{Group: group})
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%q: %v", group, err)
			}
		}
		_, err := queue.New(s, "jobs", &queue.Options{PerGroup: -1}).TryReceive(t.Context())
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Error(err)
		}
		longest := &queue.EnqueueOptions{Group: strings.Repeat("/", queue.MaxGroup)}
		if _, err := q.Enqueue(t.Context(), []byte("x"), longest); err != nil {
			t.Fatal(err)
		}
		items, err := q.Peek(t.Context(), 1)
		if err != nil || items[0].Group != longest.Group {
			t.Errorf("%+v, %v", items, err)
		}
		if m := receive(t, q, "x", 1); m.Group != longest.Group {
			t.Errorf("group %q", m.Group)
		}
	})
}
