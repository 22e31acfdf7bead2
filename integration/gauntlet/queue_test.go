package gauntlet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// lostItemPeer: a consumer ends before it receives the answer to its claim.
func lostItemPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	must(t, recipe.NewQueue(etcd, name).Enqueue("item"))
	p.beforeWrite(func() { p.link.Blackhole(faultproxy.Down) }, nothing)
	receiving := begin(func() error {
		_, err := recipe.NewQueue(p.Client, name).Dequeue()
		return err
	})
	eventually(t, "claim", count(t, name, 0))
	must(t, p.Close())
	err := receiving.end(t)
	return saw("Dequeue: %v; items left: %d", err, len(under(t, name))), err != nil &&
		count(t, name, 0)()
}

func lostItem(t *testing.T) string {
	link, name := newLink(t), fresh(t)
	consumer, other := behind(t, link.URL(), nil), queue.New(plain(t), name, nil)
	_, err := other.Enqueue(soon(t), []byte("item"), nil)
	must(t, err)
	m, err := queue.New(consumer, name, nil).Receive(soon(t))
	must(t, err)
	link.Blackhole(faultproxy.Both)
	if _, err := other.TryReceive(soon(t)); !errors.Is(err, queue.ErrEmpty) {
		t.Errorf("another receives what is being worked on: %v", err)
	}
	revoke(t, clientv3.LeaseID(consumer.Lease()))
	again, err := other.Receive(soon(t))
	must(t, err)
	if again.ID != m.ID || again.Attempt != 2 {
		t.Errorf("received %s, attempt %d", again.ID, again.Attempt)
	}
	must(t, again.Ack(soon(t)))
	return "another receives it"
}

func enqueuedTwicePeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	q := recipe.NewQueue(p.Client, name)
	p.link.Blackhole(faultproxy.Down)
	sending := begin(func() error { return q.Enqueue("item") })
	eventually(t, "item", count(t, name, 1))
	p.link.Reset() // the answer may still be on its way
	must(t, p.link.Heal())
	failed := sending.end(t)
	p.back(t)
	again := q.Enqueue("item")
	n := len(under(t, name))
	return saw("Enqueue: %v, then %v; items: %d", failed, again, n), failed != nil &&
		again == nil && n == 2
}

func enqueuedTwice(t *testing.T) string {
	link, name := newHTTPLink(t), fresh(t)
	q := queue.New(behind(t, link.URL(), nil), name, nil)
	lost := link.Add(faultproxy.Rule{
		Match: faultproxy.Path("/v3/kv/txn"), Action: faultproxy.Drop,
		Times: 1,
	})
	if _, err := q.Enqueue(soon(t), []byte("item"), nil); err != nil || lost.Hits() != 1 {
		t.Errorf("Enqueue = %v, with %d answers lost", err, lost.Hits())
	}
	stats, err := q.Stats(soon(t))
	if err != nil || stats.Ready != 1 || stats.Enqueued != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
	return "Enqueue finds out, the item is there once"
}

func dequeuePanicsPeer(t *testing.T) (string, bool) {
	p := newPeer(t)
	receiving := begin(func() error {
		_, err := recipe.NewQueue(p.Client, fresh(t)).Dequeue()
		return err
	})
	p.waits(t)
	must(t, p.Close())
	err := receiving.end(t)
	panicked := strings.HasPrefix(fmt.Sprint(err), "panic: ")
	return saw("panics: %v", panicked), panicked
}

// dequeuePanics ends the watch in the same way, after an interruption.
func dequeuePanics(t *testing.T) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	q := queue.New(s, name, nil)
	receive := func() *call {
		return begin(func() error {
			m, err := q.Receive(soon(t))
			if err != nil {
				return err
			}
			return m.Ack(soon(t))
		})
	}
	sender := queue.New(plain(t), name, nil)
	_, err := sender.Enqueue(soon(t), []byte("first"), nil)
	must(t, err)
	must(t, receive().end(t)) // after it, the queue watches
	interrupted := receive()
	link.Reset()
	_, err = sender.Enqueue(soon(t), []byte("second"), nil)
	must(t, err)
	must(t, interrupted.end(t))
	ended := receive()
	if !ended.stuck(200 * time.Millisecond) {
		t.Errorf("Receive of an empty queue = %v", ended.err)
	}
	must(t, s.Close(soon(t)))
	must(t, s.Client().Close())
	if err := ended.end(t); !errors.Is(err, session.ErrClosed) {
		t.Errorf("Receive = %v", err)
	}
	return "Receive: " + session.ErrClosed.Error()
}

// priorityPeer cuts an idle consumer off until the queue has two items, so that both are there when
// it reads. With items that arrive one by one, either queue returns the first item at once.
func priorityPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	var got string
	receiving := begin(func() (err error) {
		got, err = recipe.NewPriorityQueue(p.Client, name).Dequeue()
		return err
	})
	p.waits(t)
	must(t, p.link.Refuse())
	p.link.Reset()
	q := recipe.NewPriorityQueue(etcd, name)
	must(t, q.Enqueue("low", 9))
	must(t, q.Enqueue("high", 1))
	must(t, p.link.Admit())
	must(t, receiving.end(t))
	return "it takes the one of priority " + got, got == "low"
}

func priority(t *testing.T) string {
	link, name := newLink(t), fresh(t)
	q, sender := queue.New(behind(t, link.URL(), nil), name, nil), queue.New(plain(t), name, nil)
	send := func(value string, urgency int) {
		_, err := sender.Enqueue(soon(t), []byte(value), &queue.EnqueueOptions{Priority: urgency})
		must(t, err)
	}
	send("first", 0)
	m, err := q.Receive(soon(t)) // after it, the queue watches
	must(t, err)
	must(t, m.Ack(soon(t)))
	receiving := begin(func() (err error) { m, err = q.Receive(soon(t)); return err })
	if !receiving.stuck(200 * time.Millisecond) {
		t.Fatalf("Receive of an empty queue = %v", receiving.err)
	}
	must(t, link.Refuse())
	link.Reset()
	send("low", 0)
	send("high", 9)
	must(t, link.Admit())
	must(t, receiving.end(t))
	if string(m.Value) != "high" {
		t.Errorf("an idle consumer takes the item of priority %s", m.Value)
	}
	return "it takes the most urgent"
}

func stealsPeer(t *testing.T) (string, bool) {
	name := fresh(t)
	must(t, recipe.NewQueue(etcd, name+"s").Enqueue("theirs"))
	got, err := recipe.NewQueue(etcd, name).Dequeue()
	must(t, err)
	return "received: " + got, got == "theirs"
}

func steals(t *testing.T) string {
	s, name := plain(t), fresh(t)
	_, err := queue.New(s, name+"s", nil).Enqueue(soon(t), []byte("theirs"), nil)
	must(t, err)
	if _, err := queue.New(s, name, nil).TryReceive(soon(t)); !errors.Is(err, queue.ErrEmpty) {
		t.Errorf("TryReceive = %v", err)
	}
	return "TryReceive: " + queue.ErrEmpty.Error()
}

// outside returns the keys that contain a name and do not have it as their prefix.
func outside(tb testing.TB, name string) (keys []string) {
	tb.Helper()
	for _, key := range under(tb, "") {
		if strings.Contains(key, name) && !strings.HasPrefix(key, name+"/") {
			keys = append(keys, key)
		}
	}
	return keys
}

func keysElsewherePeer(t *testing.T) (string, bool) {
	name := fresh(t)
	q := recipe.NewPriorityQueue(etcd, name)
	must(t, q.Enqueue("item", 1))
	_, err := q.Dequeue()
	must(t, err)
	keys := outside(t, name)
	return saw("keys left outside: %d", len(keys)), len(keys) > 0
}

func keysElsewhere(t *testing.T) string {
	name := fresh(t)
	q := queue.New(plain(t), name, &queue.Options{MaxAttempts: 1})
	for _, opts := range []*queue.EnqueueOptions{
		{Priority: 1},
		{Delay: time.Hour},
		{DedupID: "once"},
	} {
		_, err := q.Enqueue(soon(t), []byte("item"), opts)
		must(t, err)
	}
	m, err := q.Receive(soon(t))
	must(t, err)
	must(t, m.Reject(soon(t), "bad"))
	if keys := outside(t, name); len(keys) > 0 {
		t.Errorf("keys outside: %q", keys)
	}
	return "keys outside: 0"
}
