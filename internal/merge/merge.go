// Package merge sends what several callers want in one request. What comes while a request is under way goes with the
// next. Nobody waits for company, except that those who have waited for a request wait a little longer, for those whom it
// answered; and so does who comes next, if they keep coming.
package merge

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Batcher merges what its callers do. Its fields are set before its first use.
type Batcher[T any] struct {
	Owner Owner
	// Pick tells how many of the first go together, at least one.
	Pick func(waiting []*Job[T]) int
	// Send sends them, and sets their errors.
	Send func(ctx context.Context, jobs []*Job[T])
	// OnAbandoned, if not nil, is told of each job whose caller left while it was under way, after Send.
	OnAbandoned func(j *Job[T])

	mu      sync.Mutex
	waiting []*Job[T]
	sending bool

	regulars int           // how many wanted something when the last request was answered, it included
	until    time.Time     // how long anybody waits for them,
	all      chan struct{} // which is closed when enough wait; nil unless somebody waits for that
	missed   int           // how often in a row not all of them came, so that they are not waited for as long
}

// Owner is who a Batcher works for: a session.
type Owner interface {
	// Context bounds what is sent, and how long callers wait.
	Context() context.Context
	// Background runs a function in a goroutine that the owner joins. It is false when there is no running any more; Context
	// ends, too, then.
	Background(run func(ctx context.Context)) bool
}

// Job is what one caller wants.
type Job[T any] struct {
	V   T
	Err error

	done  chan struct{}
	batch *batch // nil while it waits
	left  bool
}

// batch is what is under way. It is given up when all who wanted it have left.
type batch struct {
	live   int
	cancel context.CancelFunc
}

// Do returns when v has been sent and answered. When ctx ends before, or the owner, it is [gateway.ErrUncertain] if v was sent.
func (m *Batcher[T]) Do(ctx context.Context, v T) error {
	if ctx.Err() != nil {
		return ctxerr.Of(ctx)
	}
	return m.Wait(ctx, m.Submit(v))
}

// Submit has v sent. The job must be given to Wait.
func (m *Batcher[T]) Submit(v T) *Job[T] {
	j := &Job[T]{V: v, done: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = append(m.waiting, j)
	if m.all != nil && m.enough() {
		close(m.all)
		m.all = nil
	}
	m.sending = m.sending || m.Owner.Background(m.run)
	return j
}

// Wait returns when the job has been answered, or ctx or the owner has ended, as Do does.
func (m *Batcher[T]) Wait(ctx context.Context, j *Job[T]) error {
	var why error
	select {
	case <-j.done:
		return j.Err
	case <-ctx.Done():
		why = ctxerr.Of(ctx)
	case <-m.Owner.Context().Done():
		why = context.Cause(m.Owner.Context()) //nolint:contextcheck // it only reads why the owner ended
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case j.Done():
		return j.Err
	case m.leave(j):
		return fmt.Errorf("%w: %w", gateway.ErrUncertain, why)
	}
	return why
}

// Done tells whether the job has been answered.
func (j *Job[T]) Done() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// leave tells whether the job has been sent.
func (m *Batcher[T]) leave(j *Job[T]) bool {
	if j.batch == nil {
		i := slices.Index(m.waiting, j)
		m.waiting = slices.Concat(m.waiting[:i], m.waiting[i+1:]) // the array is that of a batch, too
		return false
	}
	j.left = true
	if j.batch.live--; j.batch.live == 0 {
		j.batch.cancel()
	}
	return true
}

// run sends until nothing waits.
func (m *Batcher[T]) run(life context.Context) {
	for first := true; ; first = false {
		runtime.Gosched() // whoever began this, or was answered just now, may want more that can go together
		m.linger(first)
		ctx, cancel := context.WithCancel(life)
		jobs := m.next(cancel)
		if len(jobs) == 0 {
			cancel()
			return
		}
		began := time.Now()
		m.Send(ctx, jobs)
		cancel()
		m.finish(jobs, time.Since(began))
	}
}

// patience is how long anybody waits for company at most, if the last request took long enough.
const patience = time.Millisecond

// probe is how many requests go by, while not all come, until they are waited for as long as before.
const probe = 16

// linger waits for those who were answered just now, but not for long, if others wait already. Else these would go while
// those are answered, and those while these are: half of them each time, and everybody would wait for two requests. Who
// comes first, with nothing under way, waits only for those who came the last time.
func (m *Batcher[T]) linger(first bool) {
	m.mu.Lock()
	limit := time.Until(m.until)
	if enough := m.enough(); enough || limit <= 0 || len(m.waiting) == 0 || first && m.missed > 0 {
		if enough && m.regulars > 1 {
			m.missed = 0
		}
		m.mu.Unlock()
		return
	}
	all := make(chan struct{})
	m.all = all
	m.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-all:
	case <-t.C:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.missed++; m.all == nil {
		m.missed = 0
	}
	m.all = nil
}

// enough: all are there, or more than can go together.
func (m *Batcher[T]) enough() bool {
	return len(m.waiting) > 0 && (len(m.waiting) >= m.regulars || m.Pick(m.waiting) < len(m.waiting))
}

// next takes what is to be sent. Nothing means that the goroutine must end.
func (m *Batcher[T]) next(cancel context.CancelFunc) []*Job[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sending = len(m.waiting) > 0
	if !m.sending {
		return nil
	}
	n := m.Pick(m.waiting)
	jobs := m.waiting[:n:n]
	m.waiting = m.waiting[n:]
	b := &batch{live: n, cancel: cancel}
	for _, j := range jobs {
		j.batch = b
	}
	return jobs
}

func (m *Batcher[T]) finish(jobs []*Job[T], took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.regulars = len(jobs) + len(m.waiting)
	wait := took / 4
	if m.missed%probe > 0 {
		wait = took / 16
	}
	m.until = time.Now().Add(min(wait, patience))
	for _, j := range jobs {
		close(j.done)
		if j.left && m.OnAbandoned != nil {
			m.OnAbandoned(j)
		}
	}
}
