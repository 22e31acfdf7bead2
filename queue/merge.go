package queue

import (
	"context"
	"fmt"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
)

// merger sends what several callers want in one request: what comes while a request is under way goes with the next.
type merger[T any] struct {
	life   context.Context                  //nolint:containedctx // of the session, which bounds what is sent
	pick   func(waiting []*job[T]) int      // how many of the first go together, at least one
	send   func(context.Context, []*job[T]) // sets the errors of all
	forget func(v T)                        // takes back what was done for a caller who has left; may be nil

	mu      sync.Mutex
	waiting []*job[T]
	sending bool
}

type job[T any] struct {
	v     T
	err   error
	done  chan struct{}
	batch *batch // nil while it waits
	left  bool
}

// batch is what is under way. It is given up when all who wanted it have left.
type batch struct {
	live   int
	cancel context.CancelFunc
}

// do returns when v has been sent and answered. When ctx ends before, it is ErrUncertain if v was sent.
func (m *merger[T]) do(ctx context.Context, v T) error {
	j := &job[T]{v: v, done: make(chan struct{})}
	m.mu.Lock()
	if ctx.Err() != nil {
		m.mu.Unlock()
		return ended(ctx)
	}
	m.waiting = append(m.waiting, j)
	if !m.sending {
		m.sending = true
		go m.run() //nolint:contextcheck // it works for others, too
	}
	m.mu.Unlock()
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return m.leave(ctx, j)
	}
}

func (m *merger[T]) leave(ctx context.Context, j *job[T]) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-j.done:
		return j.err
	default:
	}
	if j.batch == nil {
		for i, o := range m.waiting {
			if o == j {
				m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
			}
		}
		return ended(ctx)
	}
	j.left = true
	if j.batch.live--; j.batch.live == 0 {
		j.batch.cancel()
	}
	return fmt.Errorf("%w: %w", gateway.ErrUncertain, ended(ctx))
}

// run sends until nothing waits.
func (m *merger[T]) run() {
	for {
		m.mu.Lock()
		if len(m.waiting) == 0 {
			m.sending = false
			m.mu.Unlock()
			return
		}
		n := m.pick(m.waiting)
		jobs := m.waiting[:n:n]
		m.waiting = m.waiting[n:]
		ctx, cancel := context.WithCancel(m.life)
		b := &batch{live: n, cancel: cancel}
		for _, j := range jobs {
			j.batch = b
		}
		m.mu.Unlock()
		m.send(ctx, jobs)
		cancel()
		m.finish(jobs)
	}
}

func (m *merger[T]) finish(jobs []*job[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range jobs {
		close(j.done)
		if j.left && j.err == nil && m.forget != nil {
			m.forget(j.v)
		}
	}
}
