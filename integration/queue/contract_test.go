package queue_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// pair is two sessions of two clients.
type pair struct {
	cfg  gateway.Config
	c    *gateway.Client
	a, b *session.Session
}

// TestContract checks the contract of a queue on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		p := pair{cfg, c, newSession(t, c, nil), newSession(t, newClient(t, cfg), nil)}
		for name, test := range map[string]func(*testing.T, pair){
			"Order":         order,
			"Priority":      priority,
			"Empty":         empty,
			"Nack":          nack,
			"Delay":         delay,
			"Reject":        reject,
			"Max attempts":  maxAttempts,
			"Redelivery":    redelivery,
			"Ack with":      ackWith,
			"Ack twice":     ackTwice,
			"Ack too late":  ackTooLate,
			"Claim removed": claimRemoved,
			"Dedup":         dedup,
			"Duplicates":    duplicates,
			"Max length":    maxLength,
			"Pause":         pausing,
			"Inspect":       inspect,
			"Consume":       consume,
			"Compaction":    compaction,
			"Limits":        limits,
			"Requeue":       requeue,
			"No wait":       noWait,
			"Too many":      tooMany,
			"Junk":          junk,
			"Groups":        groups,
			"In flight":     maxInFlight,
			"Remove":        removing,
			"Producer":      withoutSession,
		} {
			t.Run(name, func(t *testing.T) { test(t, p) })
		}
	})
}

// order: items are received in order across windows, by any session.
func order(t *testing.T, p pair) {
	const n = 700
	name := fresh(t)
	from := queue.New(p.a, name, nil)
	to := []*queue.Queue{queue.New(p.a, name, nil), queue.New(p.b, name, nil)}
	enqueue(t, from, nil, "0", "1")
	var values [][]byte
	for i := 2; i < n; i++ {
		values = append(values, fmt.Appendf(nil, "%d", i))
	}
	ids, err := from.EnqueueAll(within(t, patience), values, nil)
	if err != nil || len(ids) != len(values) {
		t.Fatal(len(ids), err)
	}
	for i := range n {
		ack(t, receive(t, to[i%2], fmt.Sprint(i), 1))
	}
	for _, q := range to {
		isEmpty(t, q)
	}
	left := slices.DeleteFunc(keysOf(t, p.c, name), func(k string) bool { return k == name+"//gaps" })
	if !slices.Equal(left, []string{name + "//tail"}) {
		t.Errorf("left behind: %v", left)
	}
}

func priority(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, nil)
	var values [][]byte
	for i := range 600 {
		values = append(values, fmt.Appendf(nil, "low%d", i))
	}
	if _, err := q.EnqueueAll(within(t, patience), values, nil); err != nil {
		t.Fatal(err)
	}
	other := queue.New(p.b, name, nil)
	ack(t, receive(t, other, "low0", 1)) // knows the front now
	enqueue(t, q, &queue.EnqueueOptions{Priority: 5}, "mid0", "mid1")
	enqueue(t, q, &queue.EnqueueOptions{Priority: 9}, "high")
	eventually(t, "watch", func() bool {
		m, err := other.Receive(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Value) == "high" && m.Priority == 9 {
			ack(t, m)
			return true
		}
		if err := m.Nack(within(t, patience), 0); err != nil { // the watch was slightly late
			t.Fatal(err)
		}
		return false
	})
	for _, v := range []string{"mid0", "mid1"} {
		m, err := other.Receive(within(t, patience))
		if err != nil || string(m.Value) != v {
			t.Fatal(m, err)
		}
		ack(t, m)
	}
}

func empty(t *testing.T, p pair) {
	name := fresh(t)
	a, b := queue.New(p.a, name, nil), queue.New(p.b, name, nil)
	isEmpty(t, a)
	isEmpty(t, b)
	for i := range 20 { // the items are received, although the watch may be behind
		enqueue(t, a, nil, fmt.Sprint(i))
		m, err := b.TryReceive(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		isEmpty(t, a)
		ack(t, m)
	}
	isEmpty(t, b)
	got := make(chan *queue.Message)
	for _, q := range []*queue.Queue{a, b} {
		go func() {
			m, err := q.Receive(within(t, patience))
			if err != nil {
				t.Error(err)
			}
			got <- m
		}()
	}
	enqueue(t, a, nil, "x", "y")
	first, second := <-got, <-got
	if string(first.Value) == string(second.Value) {
		t.Errorf("received twice: %q", first.Value)
	}
	ack(t, first)
	ack(t, second)
}

// compaction: a compaction does not disturb consumers.
func compaction(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, nil)
	got := make(chan *queue.Message)
	go func() {
		for range 20 {
			m, err := queue.New(p.b, name, nil).Receive(within(t, patience))
			if err != nil {
				t.Error(err)
			}
			got <- m
		}
	}()
	for i := range 20 {
		enqueue(t, q, nil, fmt.Sprint(i))
		resp, err := p.c.Get(within(t, patience), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.c.Compact(within(t, patience), resp.Revision); err != nil {
			t.Fatal(err)
		}
		ack(t, <-got)
	}
}

func limits(t *testing.T, p pair) {
	for _, name := range []string{"", "a//b", "a/", "holdfast/sessions/x"} {
		q := queue.New(p.a, name, nil)
		_, enq := q.Enqueue(within(t, patience), nil, nil)
		_, rec := q.TryReceive(within(t, patience))
		if !errors.Is(enq, gateway.ErrInvalid) || !errors.Is(rec, gateway.ErrInvalid) {
			t.Errorf("name %q: %v, %v", name, enq, rec)
		}
	}
	q := queue.New(p.a, fresh(t), nil)
	for what, o := range map[string]*queue.EnqueueOptions{
		"priority": {Priority: 10}, "negative priority": {Priority: -1},
		"negative delay": {Delay: -1},
		"dedup ID":       {DedupID: strings.Repeat("x", queue.MaxDedupID+1)},
	} {
		if _, err := q.Enqueue(within(t, patience), nil, o); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, o := range map[string]*queue.Options{
		"attempts": {MaxAttempts: -1}, "length": {MaxLength: -1},
		"window": {DedupWindow: time.Millisecond},
	} {
		if _, err := queue.New(p.a, "x", o).Enqueue(within(t, patience), nil,
			nil); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := q.Enqueue(within(t, patience), make([]byte, queue.MaxValue+1), nil)
	if !errors.Is(err, queue.ErrTooLarge) ||
		!strings.Contains(err.Error(), fmt.Sprint(queue.MaxValue+1)) {
		t.Errorf("too large: %v", err)
	}
	largest := [][]byte{make([]byte, queue.MaxValue), make([]byte, queue.MaxValue), {1}}
	if _, err := q.EnqueueAll(within(t, patience), largest, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range largest {
		m, err := q.Receive(within(t, patience))
		if err != nil || len(m.Value) != len(want) {
			t.Fatal(err)
		}
		ack(t, m)
	}
}

// junk: another program's value among the items becomes a dead letter.
func junk(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, nil)
	if _, err := p.c.Put(within(t, patience), name+"//q/0/0000000000000000",
		[]byte("junk")); err != nil {
		t.Fatal(err)
	}
	enqueue(t, q, nil, "x")
	ack(t, receive(t, q, "x", 1))
	if st := stats(t, q); st.Dead != 1 || st.Ready+st.Claimed != 0 {
		t.Errorf("%+v", st)
	}
}

func keysOf(t *testing.T, c *gateway.Client, name string) []string {
	t.Helper()
	resp, err := c.Get(within(t, patience), name+"//", gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, kv := range resp.KVs {
		keys = append(keys, kv.Key)
	}
	return keys
}
