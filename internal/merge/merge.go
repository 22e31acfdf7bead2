// Package merge sends the jobs of several callers in one request.
//
// A job starts a request unless one is in flight. Jobs submitted while one is in flight share the
// next. A request that follows another directly lingers briefly, so that callers that were just
// answered can join it. A request that starts when none is in flight does the same, unless the last
// linger was in vain.
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

// Batcher merges the jobs of its callers. Its exported fields are set before its first use; after
// that its methods are safe for concurrent use.
type Batcher[T any] struct {
	Owner Owner
	// Pick returns the number of jobs at the front of waiting that share the next request, at least
	// one.
	Pick func(waiting []*Job[T]) int
	// Send sends the jobs and sets their errors. It is called for one request at a time. ctx has
	// the values of the first caller's context, and ends when all callers have left.
	Send func(ctx context.Context, jobs []*Job[T])

	mu      sync.Mutex
	waiting []*Job[T]
	sending bool

	regulars int           // jobs of the last request, and jobs that waited when it was answered
	until    time.Time     // end of the time to linger for as many jobs as regulars
	all      chan struct{} // closed when enough jobs wait; nil unless run lingers
	missed   int           // lingers in vain in a row, which shorten the time to linger
}

// Owner is the session that a Batcher sends for.
type Owner interface {
	// Context ends the requests and the waits of callers.
	Context() context.Context
	// Background runs a function in a goroutine that the owner joins. It returns false when the
	// owner has ended, and Context ends then too.
	Background(run func(ctx context.Context)) bool
}

// Job is the request of one caller.
type Job[T any] struct {
	V   T
	Err error

	ctx   context.Context //nolint:containedctx // of the caller, for the request
	done  chan struct{}
	batch *batch // nil while it waits
}

// batch is the request in flight. It is cancelled when the callers of all its jobs have left.
type batch struct {
	live   int
	ctx    context.Context //nolint:containedctx // of the request
	cancel context.CancelFunc
}

// Do sends v and returns the error of its job. Returns [gateway.ErrUncertain] with the cause when
// ctx or the owner ends after v was sent, and the cause alone when v was not sent.
func (m *Batcher[T]) Do(ctx context.Context, v T) error {
	if ctx.Err() != nil {
		return ctxerr.Of(ctx)
	}
	return m.wait(ctx, m.submit(ctx, v))
}

func (m *Batcher[T]) submit(ctx context.Context, v T) *Job[T] {
	j := &Job[T]{V: v, ctx: ctx, done: make(chan struct{})}
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

// wait returns when the job is answered or ctx or the owner ends.
func (m *Batcher[T]) wait(ctx context.Context, j *Job[T]) error {
	var why error
	select {
	case <-j.done:
		return j.Err
	case <-ctx.Done():
		why = ctxerr.Of(ctx)
	case <-m.Owner.Context().Done():
		why = context.Cause(m.Owner.Context()) //nolint:contextcheck // it only reads the cause
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case j.answered():
		return j.Err
	case m.leave(j):
		return fmt.Errorf("%w: %w", gateway.ErrUncertain, why)
	}
	return why
}

func (j *Job[T]) answered() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// leave removes the caller of a job and reports whether the job was sent.
func (m *Batcher[T]) leave(j *Job[T]) bool {
	if j.batch == nil {
		i := slices.Index(m.waiting, j)
		m.waiting = slices.Concat(m.waiting[:i], m.waiting[i+1:]) // a batch may share the array
		return false
	}
	j.batch.live--
	if j.batch.live == 0 {
		j.batch.cancel()
	}
	return true
}

// run sends until no job waits.
func (m *Batcher[T]) run(life context.Context) {
	for first := true; ; first = false {
		runtime.Gosched() // callers that can run now may submit jobs that can share the request
		m.linger(first)
		jobs := m.next()
		if len(jobs) == 0 {
			return
		}
		began := time.Now()
		stop := context.AfterFunc(life, jobs[0].batch.cancel)
		m.Send(jobs[0].batch.ctx, jobs) //nolint:contextcheck // it has the values of a caller's
		stop()
		jobs[0].batch.cancel()
		m.finish(jobs, time.Since(began))
	}
}

// linger waits briefly for the callers that were just answered, if other jobs wait already. Without
// it, the callers would split into two groups whose requests alternate, and each caller would wait
// for two requests. The first request after a pause lingers only if the last linger was not in
// vain.
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

// enough reports whether all regulars wait, or more jobs than fit into one request.
func (m *Batcher[T]) enough() bool {
	return len(m.waiting) > 0 &&
		(len(m.waiting) >= m.regulars || m.Pick(m.waiting) < len(m.waiting))
}

// next takes the jobs of the next request. If it returns none, the goroutine must end.
func (m *Batcher[T]) next() []*Job[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sending = len(m.waiting) > 0
	if !m.sending {
		return nil
	}
	n := m.Pick(m.waiting)
	jobs := m.waiting[:n:n]
	m.waiting = m.waiting[n:]
	b := &batch{live: n}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(jobs[0].ctx))
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
	}
}
