package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	if left := keysOf(t, p.c, name); !slices.Equal(left, []string{name + "//tail"}) {
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

// nack: without a delay an item keeps its place, with a delay it moves to the end.
func nack(t *testing.T, p pair) {
	name := fresh(t)
	a, b := queue.New(p.a, name, nil), queue.New(p.b, name, nil)
	enqueue(t, a, nil, "x", "y")
	m := receive(t, a, "x", 1)
	if err := m.Nack(within(t, patience), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its return", func() bool { return stats(t, a).Ready == 2 })
	begin := time.Now()
	var again *queue.Message
	eventually(t, "its return to the other", func() bool {
		m, err := b.Receive(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Value) == "x" {
			again = m
			return true
		}
		return m.Nack(within(t, patience), 0) != nil
	})
	if again.ID != m.ID || again.Attempt != 2 || again.Fence() <= m.Fence() {
		t.Errorf("again: %+v after %+v", again, m)
	}
	if err := again.Nack(within(t, patience), 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	y, err := a.Receive(within(t, patience))
	if err != nil || string(y.Value) != "y" {
		t.Fatal(y, err)
	}
	ack(t, y)
	third := receive(t, a, "x", 3)
	if took := time.Since(begin); took < 300*time.Millisecond || third.ID != m.ID {
		t.Errorf("came back after %v as %s", took, third.ID)
	}
	if err := third.Nack(within(t, patience), -1); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("a negative delay: %v", err)
	}
	ack(t, third)
	isEmpty(t, a)
}

func delay(t *testing.T, p pair) {
	name := fresh(t)
	a, b := queue.New(p.a, name, nil), queue.New(p.b, name, nil)
	begin := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	var got []string
	for _, q := range []*queue.Queue{a, b} {
		for range 3 {
			all.Go(func() {
				m, err := q.Receive(within(t, patience))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got = append(got,
					fmt.Sprintf("%s@%d", m.Value, time.Since(begin)/(300*time.Millisecond)))
				mu.Unlock()
				ack(t, m)
			})
		}
	}
	enqueue(t, a, &queue.EnqueueOptions{Delay: 900 * time.Millisecond}, "c", "d")
	enqueue(t, b, &queue.EnqueueOptions{Delay: 300 * time.Millisecond}, "a", "b")
	enqueue(t, b, &queue.EnqueueOptions{Delay: 600 * time.Millisecond, Priority: 3}, "e", "f")
	if st := stats(t, a); st.Delayed != 6 || st.Ready != 0 {
		t.Logf("late: %+v", st)
	}
	all.Wait()
	for i, want := range []string{"ab", "ab", "ef", "ef", "cd", "cd"} {
		if !strings.Contains(want, got[i][:1]) {
			t.Errorf("received in the order %v", got)
			break
		}
	}
	for _, g := range got {
		if g[2:] < map[byte]string{
			'a': "1", 'b': "1", 'c': "3", 'd': "3", 'e': "2",
			'f': "2",
		}[g[0]] {
			t.Errorf("too early: %v", got)
		}
	}
	large := strings.Repeat("large", queue.MaxValue/5)
	for range 3 { // more than one request can move
		enqueue(t, a, &queue.EnqueueOptions{Delay: time.Millisecond}, large)
	}
	for range 3 {
		m, err := b.Receive(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		ack(t, m)
	}
	enqueue(t, a, &queue.EnqueueOptions{Delay: time.Millisecond}, "tried")
	pause(t, t.Context(), 20*time.Millisecond, "delay")
	m, err := b.TryReceive(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	ack(t, m)
}

func reject(t *testing.T, p pair) {
	name := fresh(t)
	a, b := queue.New(p.a, name, nil), queue.New(p.b, name, nil)
	var ids []string
	for i := range 20 {
		enqueue(t, a, &queue.EnqueueOptions{Priority: i % 3}, fmt.Sprint(i))
		m, err := b.Receive(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Reject(within(t, patience), fmt.Sprintf("no %s", m.Value)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	isEmpty(t, a)
	n := 0
	for d, err := range a.DeadLetters(within(t, patience)) {
		if err != nil {
			t.Fatal(err)
		}
		if d.ID != ids[n] || string(d.Value) != fmt.Sprint(n) ||
			d.Reason != fmt.Sprint("no ", n) || d.Attempts != 1 ||
			d.Priority != n%3 || time.Since(d.DeadAt) > time.Minute || d.DeadAt.Before(d.Enqueued) {
			t.Errorf("dead letter %d: %+v", n, d)
		}
		n++
	}
	if n != 20 {
		t.Errorf("%d dead letters", n)
	}
	if n, err := a.Redrive(within(t, patience), ids[7], "0-0"); n != 1 || err != nil {
		t.Error(n, err)
	}
	m := receive(t, b, "7", 1)
	if m.ID != ids[7] || m.Priority != 1 {
		t.Errorf("redriven: %+v", m)
	}
	ack(t, m)
	if n, err := b.Redrive(within(t, patience)); n != 19 || err != nil {
		t.Error(n, err)
	}
	if st := stats(t, a); st.Ready != 19 || st.Dead != 0 {
		t.Errorf("%+v", st)
	}
}

// maxAttempts: attempts that ended with a session count.
func maxAttempts(t *testing.T, p pair) {
	name := fresh(t)
	opts := &queue.Options{MaxAttempts: 3}
	q := queue.New(p.a, name, opts)
	enqueue(t, q, nil, "poison", "good")
	for i := range 3 {
		s := newSession(t, newClient(t, p.cfg), nil)
		receive(t, queue.New(s, name, opts), "poison", i+1)
		if err := s.Close(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	}
	ack(t, receive(t, q, "good", 1))
	isEmpty(t, q)
	for d, err := range q.DeadLetters(within(t, patience)) {
		if err != nil || d.Attempts != 3 || string(d.Value) != "poison" ||
			!strings.Contains(d.Reason, "3 attempts") {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if n, err := q.Redrive(within(t, patience)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	m := receive(t, q, "poison", 1)
	for attempt := range 3 {
		if err := m.Nack(within(t, patience), time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if attempt < 2 {
			m = receive(t, q, "poison", attempt+2)
		}
	}
	pause(t, t.Context(), 10*time.Millisecond, "delay")
	isEmpty(t, q)
	if st := stats(t, q); st.Dead != 1 {
		t.Errorf("%+v", st)
	}
}

// redelivery: after a lost claim its message has no effect.
func redelivery(t *testing.T, p pair) {
	name := fresh(t)
	s := newSession(t, newClient(t, p.cfg), nil)
	mine, other := queue.New(s, name, nil), queue.New(p.b, name, nil)
	enqueue(t, mine, nil, "x")
	m := receive(t, mine, "x", 1)
	isEmpty(t, other)
	again := make(chan *queue.Message)
	go func() {
		m, err := other.Receive(within(t, patience))
		if err != nil {
			t.Error(err)
		}
		again <- m
	}()
	if err := p.c.Revoke(within(t, patience), s.Lease()); err != nil {
		t.Fatal(err)
	}
	next := <-again
	<-m.Context().Done()
	if next.Attempt != 2 || next.Fence() <= m.Fence() || !errors.Is(m.Err(), session.ErrLost) {
		t.Errorf("%+v after %v", next, m.Err())
	}
	if err := m.Ack(within(t, patience)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Ack after the loss: %v", err)
	}
	if err := next.Err(); err != nil {
		t.Error(err)
	}
	ack(t, next)
	isEmpty(t, other)
	if _, err := mine.Enqueue(within(t, patience), nil, nil); !errors.Is(err, session.ErrLost) {
		t.Errorf("Enqueue after the loss: %v", err)
	}
	if _, err := mine.Receive(within(t, patience)); !errors.Is(err, session.ErrLost) {
		t.Errorf("Receive after the loss: %v", err)
	}
}

func ackWith(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, nil)
	enqueue(t, q, nil, "x")
	m := receive(t, q, "x", 1)
	if err := m.AckWith(within(t, patience),
		make([]gateway.Op, queue.MaxAckOps+1)...); !errors.Is(err, queue.ErrTooLarge) {
		t.Errorf("too many operations: %v", err)
	}
	// If the server rejects the transaction, the message stays claimed.
	twice := gateway.OpPut(name+".result", nil)
	if err := m.AckWith(within(t, patience), twice, twice); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("a transaction that cannot be: %v", err)
	}
	if err := m.AckWith(within(t, patience), gateway.OpPut(name+".result", m.Value)); err != nil {
		t.Fatal(err)
	}
	resp, err := p.c.Get(within(t, patience), name+".result")
	if err != nil || len(resp.KVs) != 1 || string(resp.KVs[0].Value) != "x" {
		t.Errorf("%+v, %v", resp, err)
	}
	isEmpty(t, q)
}

func ackTwice(t *testing.T, p pair) {
	q := queue.New(p.a, fresh(t), nil)
	enqueue(t, q, nil, "x")
	m := receive(t, q, "x", 1)
	results := make(chan error, 8)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			results <- []func() error{
				func() error { return m.Ack(within(t, patience)) },
				func() error { return m.Nack(within(t, patience), 0) },
				func() error { return m.Nack(within(t, patience), time.Hour) },
				func() error { return m.Reject(within(t, patience), "") },
			}[i%4]()
		})
	}
	all.Wait()
	close(results)
	n := 0
	for err := range results {
		if err == nil {
			n++
		} else if !errors.Is(err, session.ErrNotHeld) {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d of the ends succeeded", n)
	}
}

// ackTooLate: with a context that has ended, Ack still takes a moment to send its request, and
// Receive does not.
func ackTooLate(t *testing.T, p pair) {
	q := queue.New(p.a, fresh(t), nil)
	enqueue(t, q, nil, "x")
	m := receive(t, q, "x", 1)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Ack(over); err != nil {
		t.Errorf("Ack with an ended context: %v", err)
	}
	if err := m.Ack(within(t, patience)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Ack again: %v", err)
	}
	isEmpty(t, q)
	enqueue(t, q, nil, "y")
	if _, err := q.Receive(over); !errors.Is(err, context.Canceled) ||
		errors.Is(err, gateway.ErrUncertain) {
		t.Errorf("Receive with an ended context: %v", err)
	}
	if _, err := q.Enqueue(over, nil, nil); !errors.Is(err, context.Canceled) ||
		errors.Is(err, gateway.ErrUncertain) {
		t.Errorf("Enqueue with an ended context: %v", err)
	}
	ack(t, receive(t, q, "y", 1))
}

// claimRemoved: if an operator deletes the claim, another consumer receives the item, and the first
// has no effect on it.
func claimRemoved(t *testing.T, p pair) {
	for what, end := range map[string]func(context.Context, *queue.Message) error{
		"Ack":  func(ctx context.Context, m *queue.Message) error { return m.Ack(ctx) },
		"Nack": func(ctx context.Context, m *queue.Message) error { return m.Nack(ctx, 0) },
		"Later": func(ctx context.Context, m *queue.Message) error {
			return m.Nack(ctx, time.Hour)
		},
		"Reject": func(ctx context.Context, m *queue.Message) error { return m.Reject(ctx, "no") },
	} {
		name := fresh(t)
		a, b := queue.New(p.a, name, nil), queue.New(p.b, name, nil)
		enqueue(t, a, nil, "x")
		m := receive(t, a, "x", 1)
		if _, err := p.c.Delete(within(t, patience), m.Key()); err != nil {
			t.Fatal(err)
		}
		again := receive(t, b, "x", 2)
		if err := end(within(t, patience), m); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("%s of a claim that was removed: %v", what, err)
		}
		ack(t, again)
	}
}

func dedup(t *testing.T, p pair) {
	name := fresh(t)
	opts := &queue.Options{DedupWindow: time.Second}
	a, b := queue.New(p.a, name, opts), queue.New(p.b, name, opts)
	var all sync.WaitGroup
	ids := make([]string, 20)
	for i := range ids {
		all.Go(func() {
			var err error
			o := &queue.EnqueueOptions{DedupID: fmt.Sprint("job", i%2)}
			if i%5 == 4 {
				o.Delay = time.Millisecond
			}
			if ids[i], err = []*queue.Queue{a, b}[i/10].Enqueue(within(t, patience),
				[]byte("x"), o); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range ids {
		if ids[i] != ids[i%2] {
			t.Fatalf("IDs %v", ids)
		}
	}
	first, second := receive(t, a, "x", 1), receive(t, a, "x", 1)
	if first.ID == second.ID || !slices.Contains(ids, first.ID) ||
		!slices.Contains(ids, second.ID) {
		t.Errorf("received %s and %s of %v", first.ID, second.ID, ids[:2])
	}
	ack(t, first)
	ack(t, second)
	isEmpty(t, b)
	begin := time.Now()
	eventually(t, "the end of the window", func() bool {
		id, err := a.Enqueue(within(t, patience), []byte("y"), &queue.EnqueueOptions{
			DedupID: "job0",
		})
		if err != nil {
			t.Fatal(err)
		}
		return id != ids[0]
	})
	t.Logf("the window ended after %v", time.Since(begin))
	ack(t, receive(t, a, "y", 1))

	// An operator revokes the lease of the window.
	resp, err := p.c.Get(within(t, patience), name+"//u/job0")
	if err != nil || len(resp.KVs) != 1 {
		t.Fatal(resp, err)
	}
	if err := p.c.Revoke(within(t, patience), resp.KVs[0].Lease); err != nil {
		t.Fatal(err)
	}
	enqueue(t, a, &queue.EnqueueOptions{DedupID: "job0"}, "z")
	enqueue(t, a, &queue.EnqueueOptions{DedupID: "job0"}, "not me")
	ack(t, receive(t, b, "z", 1))
	isEmpty(t, a)
}

func maxLength(t *testing.T, p pair) {
	const limit = 10
	name := fresh(t)
	a := queue.New(p.a, name, &queue.Options{MaxLength: limit})
	b := queue.New(p.b, name, &queue.Options{MaxLength: limit})
	var producers sync.WaitGroup
	for i := range 60 {
		producers.Go(func() { enqueue(t, []*queue.Queue{a, b}[i%2], nil, fmt.Sprint(i)) })
	}
	producers.Go(func() {
		if ids, err := a.EnqueueAll(within(t, patience), make([][]byte, 25), nil); err != nil ||
			len(ids) != 25 {
			t.Error(len(ids), err)
		}
	})
	longest := int64(0)
	for range 85 {
		m, err := b.Receive(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		st := stats(t, a)
		longest = max(longest, st.Ready+st.Claimed)
		ack(t, m)
	}
	producers.Wait()
	isEmpty(t, a)
	if longest > limit {
		t.Errorf("the queue had %d items", longest)
	}
	figure(t, "at most %d of %d items", longest, limit)
	enqueue(t, a, &queue.EnqueueOptions{Delay: time.Hour}, "later") // counts
	enqueue(t, a, nil, make([]string, limit-2)...)
	if err := receive(t, b, "", 1).Reject(within(t, patience), "no"); err != nil {
		t.Fatal(err)
	}
	enqueue(t, a, nil, "", "") // a dead letter does not count
	for what, call := range map[string]func(ctx context.Context) error{
		"Enqueue": func(ctx context.Context) error {
			_, err := b.Enqueue(ctx, nil, nil)
			return err
		},
		"Delayed Enqueue": func(ctx context.Context) error {
			_, err := b.Enqueue(ctx, nil, &queue.EnqueueOptions{Delay: 1})
			return err
		},
		"Redrive": func(ctx context.Context) error { _, err := b.Redrive(ctx); return err },
	} {
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := call(short); !errors.Is(err, context.DeadlineExceeded) ||
			errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("%s to a full queue: %v", what, err)
		}
		cancel()
	}
	m := receive(t, a, "", 1)
	// it stays in the queue, elsewhere
	if err := m.Nack(within(t, patience), time.Hour); err != nil {
		t.Fatal(err)
	}
	redriven := make(chan error, 1)
	go func() {
		n, err := b.Redrive(within(t, patience))
		if err == nil && n != 1 {
			err = fmt.Errorf("%d were", n)
		}
		redriven <- err
	}()
	ack(t, receive(t, a, "", 1))
	if err := <-redriven; err != nil {
		t.Errorf("Redrive once there is room: %v", err)
	}
	if st := stats(t, a); st.Ready+st.Claimed+st.Delayed != limit ||
		st.Delayed != 2 || st.Dead != 0 {
		t.Errorf("%+v", st)
	}
}

func pausing(t *testing.T, p pair) {
	name := fresh(t)
	a, b := queue.New(p.a, name, nil), queue.New(p.b, name, nil)
	got := make(chan *queue.Message, 1)
	go func() {
		m, err := b.Receive(within(t, patience))
		if err != nil {
			t.Error(err)
		}
		got <- m
	}()
	if err := a.Pause(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	pause(t, t.Context(), 50*time.Millisecond, "watch")
	enqueue(t, a, nil, "x")
	isEmpty(t, a)
	pause(t, t.Context(), 50*time.Millisecond, "watch")
	if st := stats(t, a); len(got) != 0 || !st.Paused || st.Ready != 1 {
		t.Errorf("delivered while paused: %+v", st)
	}
	if err := a.Resume(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	ack(t, <-got)
}

func inspect(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, nil)
	enqueue(t, q, nil, "x", "y")
	enqueue(t, q, &queue.EnqueueOptions{Priority: 1}, "z")
	enqueue(t, q, &queue.EnqueueOptions{Delay: time.Hour}, "later")
	m := receive(t, q, "z", 1)
	items, err := q.Peek(within(t, patience), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 2 || items[0].ID != m.ID || !items[0].Claimed || items[0].Priority != 1 ||
		string(items[1].Value) != "x" || items[1].Claimed {
		t.Errorf("%+v", items)
	}
	st := stats(t, q)
	if st.Ready != 2 || st.Claimed != 1 || st.Delayed != 1 || st.Dead != 0 || st.Enqueued != 3 ||
		st.Paused || st.Revision == 0 {
		t.Errorf("%+v", st)
	}
}

// consume: when it ends, running functions finish, and failed items are delivered again.
func consume(t *testing.T, p pair) {
	name := fresh(t)
	q := queue.New(p.a, name, nil)
	for i := range 50 {
		enqueue(t, q, nil, fmt.Sprint(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	seen := map[string]int{}
	err := q.Consume(ctx, 4, func(ctx context.Context, m *queue.Message) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(m.Value)]++
		if string(m.Value) == "7" && m.Attempt == 1 {
			return errors.New("not this time")
		}
		if string(m.Value) == "8" {
			return m.Reject(ctx, "never")
		}
		if len(seen) == 50 && seen["7"] == 2 {
			cancel()
			pause(t, t.Context(), 20*time.Millisecond, "work after the end")
			if ctx.Err() != nil {
				t.Error("the context of the work ended with that of Consume")
			}
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Consume: %v", err)
	}
	if st := stats(t, q); st.Ready+st.Claimed+st.Delayed != 0 || st.Dead != 1 {
		t.Errorf("%+v", st)
	}
	if len(seen) != 50 || seen["7"] != 2 {
		t.Errorf("seen %v", seen)
	}
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
