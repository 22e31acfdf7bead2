package queue_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// The calls of TestModel.

// process is a process with one client, a producer and consumers.
func (r *modelRun) process(ctx context.Context, n int, c *gateway.Client) {
	for life := 0; ctx.Err() == nil; life++ {
		s, err := session.New(ctx, c, &session.Options{TTL: 5 * time.Second})
		if err != nil {
			continue
		}
		q := queue.New(s, "jobs", &r.opts)
		var all sync.WaitGroup
		all.Go(func() { r.produce(ctx, q, s, fmt.Sprintf("%d.%d", n, life)) })
		for range 2 {
			all.Go(func() { r.consume(ctx, q, s) })
		}
		all.Wait()
		if !r.calm && r.chance(50) {
			s.Orphan() // as if the process was killed
			r.etcd.Revoke(s.Lease())
		}
		_ = s.Close(context.WithoutCancel(ctx))
	}
}

func (r *modelRun) produce(ctx context.Context, q *queue.Queue, s *session.Session, name string) {
	enqueuers := []interface {
		EnqueueAll(context.Context, [][]byte, *queue.EnqueueOptions) ([]string, error)
	}{q, queue.NewProducer(s.Client(), "jobs", &r.opts)}
	for i := 0; i < 10 && ctx.Err() == nil && s.Err() == nil; i++ {
		in := enqueuers[r.below(2)]
		time.Sleep(r.upTo(400 * time.Millisecond))
		opts := &queue.EnqueueOptions{Priority: r.below(2), NoWait: r.chance(50)}
		opts.Group = []string{"", "", "a", "b", "c/d"}[r.below(5)]
		if r.chance(20) {
			opts.Delay = r.upTo(time.Second)
		}
		values := make([][]byte, 1+r.below(6))
		if r.chance(10) {
			values = make([][]byte, 40) // a backlog
		}
		for j := range values {
			values[j] = fmt.Appendf(nil, "%s.%d.%d", name, i, j)
		}
		call, cancel := context.WithTimeout(ctx, r.upTo(5*time.Second))
		ids, err := in.EnqueueAll(call, values, opts)
		cancel()
		r.mu.Lock()
		for j, value := range values {
			f := r.fateOf(string(value))
			f.enqueued = j < len(ids)
			f.maybe = !f.enqueued && errors.Is(err, gateway.ErrUncertain)
			if f.enqueued {
				r.ids[ids[j]] = string(value)
			}
		}
		r.mu.Unlock()
		if r.chance(5) {
			_, _ = q.Redrive(ctx)
		}
		if r.chance(30) {
			r.remove(ctx, q)
		}
	}
}

// remove removes an item, if it is there and not claimed.
func (r *modelRun) remove(ctx context.Context, q *queue.Queue) {
	r.mu.Lock()
	ids := slices.Sorted(maps.Keys(r.ids))
	var id string
	if len(ids) > 0 {
		id = ids[r.rng.IntN(len(ids))]
	}
	value := r.ids[id]
	r.mu.Unlock()
	if id == "" {
		return
	}
	call, cancel := context.WithTimeout(ctx, r.upTo(time.Second))
	defer cancel()
	err := q.Remove(call, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.fateOf(value)
	switch {
	case err == nil:
		r.removals++
		if f.removed {
			r.wrong("%s was removed twice", value)
		}
		f.removed, f.goneAt = true, time.Now()
	case errors.Is(err, queue.ErrNoItem):
		f.goneAt = time.Now()
	case errors.Is(err, gateway.ErrUncertain):
		f.inDoubt = true
	}
}

func (r *modelRun) fateOf(value string) *fate {
	f := r.fates[value]
	if f == nil {
		f = &fate{}
		r.fates[value] = f
	}
	return f
}

func (r *modelRun) consume(ctx context.Context, q *queue.Queue, s *session.Session) {
	for ctx.Err() == nil && s.Err() == nil {
		call, cancel := context.WithTimeout(ctx, r.upTo(time.Second))
		begin := time.Now()
		receive := q.Receive
		if r.chance(20) {
			receive = q.TryReceive // also while the watch is late
		}
		m, err := receive(call)
		cancel()
		if err == nil {
			r.work(m, begin)
		}
		switch {
		case r.calm:
		case r.chance(2):
			r.etcd.Revoke(s.Lease())
		case r.chance(4):
			r.etcd.Compact()
			r.etcd.BreakWatches(false)
		case r.chance(5):
			r.etcd.BreakWatches(true) // they are late until then
			time.AfterFunc(r.upTo(time.Second), func() { r.etcd.BreakWatches(false) })
		}
	}
}

// work ends a message in one of many ways, or leaves it to the end of the session.
func (r *modelRun) work(m *queue.Message, begin time.Time) {
	value := string(m.Value)
	r.mu.Lock()
	f := r.fateOf(value)
	f.delivered++
	if !f.goneAt.IsZero() && f.goneAt.Before(begin) {
		r.wrong("%s was received after it was gone", value)
	}
	if r.calm && m.Attempt > f.delivered {
		r.wrong("%s: attempt %d in delivery %d", value, m.Attempt, f.delivered)
	}
	if limit := r.opts.MaxAttempts; limit > 0 {
		if m.Attempt > limit || !f.dead && m.Attempt <= f.counted {
			r.wrong("%s: attempt %d after %d", value, m.Attempt, f.counted)
		}
		f.counted++
		f.dead = f.dead || m.Attempt == limit
	}
	r.mu.Unlock()
	time.Sleep(r.upTo(200 * time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), r.upTo(5*time.Second))
	defer cancel()
	var err error
	acks := false
	switch n := r.below(100); {
	case n < 50:
		acks, err = true, m.Ack(ctx)
	case n < 60:
		acks, err = true, m.AckWith(ctx, gateway.OpPut("done/"+value, nil))
	case n < 70:
		err = m.Nack(ctx, 0)
	case n < 80:
		err = m.Nack(ctx, 1+r.upTo(time.Second))
	case n < 85:
		r.mu.Lock()
		f.dead = true
		r.mu.Unlock()
		err = m.Reject(ctx, "no")
	case n < 95:
		r.mu.Lock()
		f.counted--
		r.mu.Unlock()
		err = m.Requeue(ctx)
	case r.calm:
		acks, err = true, m.Ack(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if acks && err == nil {
		f.acked++
		f.goneAt = time.Now()
	}
	f.inDoubt = f.inDoubt || errors.Is(err, gateway.ErrUncertain)
}
