package queue_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

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
