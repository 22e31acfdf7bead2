package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestEachWriteCountsOnceWhileAnswersAreLost: one in three answers is lost, and copies arrive late,
// for all operations of a queue. Each item is in the queue once, each end of a message returns the
// true outcome, and each effect happens once.
func TestEachWriteCountsOnceWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	items := 240
	p := newHTTPProxy(t, cluster.Endpoints()[0])
	name := fresh(t)
	direct := newClient(t, gateway.Config{})
	opts := &queue.Options{MaxLength: 30, MaxAttempts: 8}
	var queues []*queue.Queue
	var alone []*queue.Producer // without a session
	for range 3 {
		c := newClient(t, gateway.Config{
			Endpoints: []string{p.URL()}, AttemptTimeout: 300 * time.Millisecond,
		})
		queues = append(queues,
			queue.New(newSession(t, c, &session.Options{TTL: 60 * time.Second}), name, opts))
		alone = append(alone, queue.NewProducer(c, name, opts))
	}
	dropped := p.Add(faultproxy.Rule{Match: sometimes(3), Action: faultproxy.Drop})
	// Not DuplicateLater: a late copy of a claim that was answered, and has since ended by a Nack,
	// is not covered by the guarantees.
	late := p.Add(faultproxy.Rule{
		Match: sometimes(15), Action: faultproxy.DelayBefore(600 * time.Millisecond),
	})
	ctx := within(t, 2*time.Minute)

	var producers, consumers sync.WaitGroup
	for g := range 6 {
		var q interface {
			Enqueue(context.Context, []byte, *queue.EnqueueOptions) (string, error)
		} = queues[g%len(queues)]
		if g >= len(queues) {
			q = alone[g-len(queues)]
		}
		producers.Go(func() {
			for i := g; i < items; i += 6 {
				o := &queue.EnqueueOptions{Priority: i % 2}
				switch i % 5 {
				case 1:
					o.DedupID = fmt.Sprint("job", i)
				case 2:
					o.Delay = 50 * time.Millisecond
				}
				id, err := q.Enqueue(ctx, fmt.Append(nil, i), o)
				if err != nil {
					t.Error(err)
					return
				}
				if o.DedupID != "" {
					if twice, err := q.Enqueue(ctx, nil, o); err != nil || twice != id {
						t.Errorf("a duplicate of %s became %s, %v", id, twice, err)
					}
				}
			}
		})
	}
	var mu sync.Mutex
	deliveries := map[string][]int{}
	acked, rejected := 0, 0
	work, stop := context.WithCancel(ctx)
	for g := range 6 {
		q := queues[g%len(queues)]
		consumers.Go(func() {
			for m, err := range q.Messages(work) {
				if err != nil {
					if work.Err() == nil {
						t.Error(err)
					}
					return
				}
				id := string(m.Value)
				mu.Lock()
				deliveries[id] = append(deliveries[id], m.Attempt)
				mu.Unlock()
				switch {
				case m.Attempt == 1 && len(id)%3 == 0:
					err = m.Nack(ctx, 0)
				case m.Attempt == 1 && len(id)%3 == 1:
					err = m.Nack(ctx, 30*time.Millisecond)
				case id == "100":
					err = m.Reject(ctx, "a hundred")
				default:
					key := name + ".done/" + id
					err = m.AckWith(ctx, gateway.OpTxn(gateway.Txn{
						If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)},
						Then: []gateway.Op{gateway.OpPut(key, nil)},
						Else: []gateway.Op{gateway.OpPut(name+".twice/"+id, nil)},
					}))
					mu.Lock()
					acked++
					mu.Unlock()
				}
				if err != nil {
					t.Errorf("item %s, attempt %d: %v", id, m.Attempt, err)
				}
				if id == "100" && m.Attempt > 1 {
					mu.Lock()
					rejected++
					mu.Unlock()
				}
			}
		})
	}
	producers.Wait()
	watch := queue.New(newSession(t, direct, nil), name, nil)
	eventually(t, "the end", func() bool {
		st := stats(t, watch)
		return st.Ready+st.Claimed+st.Delayed == 0
	})
	stop()
	consumers.Wait()
	pause(t, t.Context(), 1500*time.Millisecond, "late copies")
	figure(t, "%d answers dropped, %d requests late; %d items", dropped.Hits(), late.Hits(), items)
	st := stats(t, watch)
	if st.Ready+st.Claimed+st.Delayed != 0 || st.Dead != 1 || rejected != 1 || acked != items-1 {
		t.Errorf("%+v, %d acked", st, acked)
	}
	count := func(what string) int64 {
		resp, err := direct.Get(ctx, name+what, gateway.Prefix(), gateway.CountOnly())
		if err != nil {
			t.Fatal(err)
		}
		return resp.Count
	}
	if done, twice := count(".done/"), count(".twice/"); done != int64(items-1) || twice != 0 {
		t.Errorf("%d done, %d of them twice", done, twice)
	}
	if counts := count("//t/"); counts != 0 {
		t.Errorf("%d counts of attempts left behind", counts)
	}
	for id, attempts := range deliveries {
		for i, a := range attempts {
			if a != i+1 {
				t.Errorf("item %s: attempts %v", id, attempts)
			}
		}
	}
}

// TestACallOnABlackHoleReturnsWithItsContext: every call returns with its context, and no item is
// lost or stays claimed.
func TestACallOnABlackHoleReturnsWithItsContext(t *testing.T) {
	p, err := faultproxy.New(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	c := newClient(t, gateway.Config{Endpoints: []string{p.URL()}})
	s := newSession(t, c, &session.Options{TTL: 60 * time.Second})
	name, quiet := fresh(t), fresh(t)
	q := queue.New(s, name, nil)
	direct := queue.New(plain(t), name, nil)
	enqueue(t, direct, nil, "held", "nacked", "rejected", "next", "last")
	held, nacked := receive(t, q, "held", 1), receive(t, q, "nacked", 1)
	rejected := receive(t, q, "rejected", 1)
	parked := make(chan error, 1)
	waiting, stopWaiting := context.WithCancel(t.Context())
	go func() {
		_, err := queue.New(s, quiet, nil).Receive(waiting)
		parked <- err
	}()
	pause(t, t.Context(), 100*time.Millisecond, "wait")
	p.Blackhole(faultproxy.Both)

	calls := map[string]func(ctx context.Context) error{
		"Receive":    func(ctx context.Context) error { _, err := q.Receive(ctx); return err },
		"TryReceive": func(ctx context.Context) error { _, err := q.TryReceive(ctx); return err },
		"Enqueue": func(ctx context.Context) error {
			_, err := q.Enqueue(ctx, []byte("new"), nil)
			return err
		},
		"EnqueueAll": func(ctx context.Context) error {
			_, err := q.EnqueueAll(ctx, [][]byte{nil, nil}, nil)
			return err
		},
		"Delayed": func(ctx context.Context) error {
			_, err := q.Enqueue(ctx, nil, &queue.EnqueueOptions{Delay: time.Hour})
			return err
		},
		"Dedup": func(ctx context.Context) error {
			_, err := q.Enqueue(ctx, nil, &queue.EnqueueOptions{DedupID: "x"})
			return err
		},
		"Ack":     held.Ack,
		"Nack":    func(ctx context.Context) error { return nacked.Nack(ctx, 0) },
		"Reject":  func(ctx context.Context) error { return rejected.Reject(ctx, "no") },
		"Peek":    func(ctx context.Context) error { _, err := q.Peek(ctx, 1); return err },
		"Stats":   func(ctx context.Context) error { _, err := q.Stats(ctx); return err },
		"Redrive": func(ctx context.Context) error { _, err := q.Redrive(ctx); return err },
		"Pause":   queue.New(s, quiet, nil).Pause,
		"Consume": func(ctx context.Context) error {
			return q.Consume(ctx, 2, func(context.Context, *queue.Message) error { return nil })
		},
	}
	var mu sync.Mutex
	var worst time.Duration
	var all sync.WaitGroup
	for what, call := range calls {
		all.Go(func() {
			for _, limit := range []time.Duration{300 * time.Millisecond, 2500 * time.Millisecond} {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				begin := time.Now()
				err := call(ctx)
				late := time.Since(begin) - limit
				if !errors.Is(err, context.DeadlineExceeded) || late > 200*time.Millisecond {
					t.Errorf("%s, %v after its context's end: %v", what, late, err)
				}
				mu.Lock()
				worst = max(worst, late)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	begin := time.Now()
	stopWaiting()
	if err := <-parked; !errors.Is(err, context.Canceled) ||
		time.Since(begin) > 200*time.Millisecond {
		t.Errorf("Receive that was waiting: %v", err)
	}
	figure(t, "black hole: %d calls returned %v after their context's end at most",
		len(calls)+1, worst.Round(time.Millisecond))
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "settling", func() bool {
		st := stats(t, direct)
		return st.Claimed == 0 && st.Dead == 1
	})
	m, err := direct.Receive(within(t, patience))
	if err != nil || string(m.Value) != "nacked" || m.Attempt != 2 {
		t.Fatalf("%+v, %v", m, err)
	}
	ack(t, m)
	for _, want := range []string{"next", "last"} {
		m, err := direct.Receive(within(t, patience))
		if err != nil || string(m.Value) != want {
			t.Fatalf("%+v, %v", m, err)
		}
		ack(t, m)
	}
}

// TestNoGoroutineOutlivesItsClient: no goroutine is left after session and client are closed during
// any operation.
func TestNoGoroutineOutlivesItsClient(t *testing.T) {
	c, err := gateway.New(gateway.Config{Endpoints: cluster.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	before := working()
	s, err := session.New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := queue.New(s, fresh(t), &queue.Options{MaxLength: 50})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for {
				if _, err := q.Enqueue(t.Context(), nil,
					&queue.EnqueueOptions{Delay: time.Millisecond}); err != nil {
					return
				}
				if _, err := q.Enqueue(t.Context(), nil, nil); err != nil {
					return
				}
			}
		})
		all.Go(func() {
			_ = q.Consume(t.Context(), 2,
				func(context.Context, *queue.Message) error { return nil })
		})
	}
	pause(t, t.Context(), 500*time.Millisecond, "work")
	if err := s.Close(within(t, patience)); err != nil {
		t.Error(err)
	}
	all.Wait() // all end with the session
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "goroutines", func() bool { return working() <= before })
}

// working returns how many goroutines run code of this library. Goroutines of connections do not
// count, because the clients of other tests dial again after they were idle.
func working() (n int) {
	all := make([]byte, 4<<20)
	for stack := range bytes.SplitSeq(all[:runtime.Stack(all, true)], []byte("\n\n")) {
		if bytes.Contains(stack, []byte("holdfast-go/holdfast/")) &&
			!bytes.Contains(stack, []byte("_test.")) {
			n++
		}
	}
	return n
}
