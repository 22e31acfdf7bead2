package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/queue"
)

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
	recipetest.Marked(t, p.b.Client())
	enqueue(t, a, nil, "x")
	isEmpty(t, a)
	recipetest.Marked(t, p.b.Client())
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
