package limit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/session"
)

// ErrClosed is returned after [Limiter.Close].
var ErrClosed = errors.New("limiter closed")

// Options configure a [Limiter]. nil means the zero value.
type Options struct {
	// Block is the number of tokens that a process takes ahead. Default: the tokens of 100 ms, so
	// that a busy process asks ten times a second; at least 1 and at most [Rate.Burst].
	Block int64
	// Strict takes no token ahead and gives none back, also if the process dies.
	Strict bool
}

// Limiter is the limit of a name as one session uses it. It is safe for concurrent use.
type Limiter struct {
	s    *session.Session
	name string
	rate Rate
	opt  Options
	bad  error // of the arguments

	turn   chan struct{} // held by the call that asks etcd
	demand atomic.Int64  // tokens that calls want

	mu          sync.Mutex
	block       *block
	deniedUntil int64 // until then, etcd is not asked for tokens that must be available
	closed      bool

	// Guarded by turn.
	key      string // of the block; empty before the first
	free     func() // of the key
	credited time.Time
	counted  int64 // keys below the name
	asked    int64 // when the last block was taken
	size     int64 // of that
}

// New returns the limit of a name, which all sessions share. It sends no request. If the arguments
// cannot be used, the first call returns [gateway.ErrInvalid].
func New(s *session.Session, name string, rate Rate, opts *Options) *Limiter {
	l := &Limiter{
		s: s, name: name, turn: make(chan struct{}, 1), block: &block{}, free: func() {},
	}
	if opts != nil {
		l.opt = *opts
	}
	if l.rate, l.bad = rate.complete(); l.bad != nil {
		return l
	}
	switch {
	case l.opt.Block < 0 || l.opt.Block > l.rate.Burst:
		l.bad = fmt.Errorf("%w: a block of %d", gateway.ErrInvalid, l.opt.Block)
	case l.opt.Block == 0:
		l.opt.Block = max(1, l.rate.count(int64(100*time.Millisecond)))
	}
	if err := core.Of(s).CheckName(name); err != nil {
		l.bad = err
	}
	return l
}

// Allow takes n tokens if they are available now. It reports whether it has taken them. It sends a
// request when the block of the process is used up. A process that has emptied the bucket asks
// again after 100 ms, so that it may deny tokens that have come since. Returns the errors of the
// package.
func (l *Limiter) Allow(ctx context.Context, n int64) (bool, error) {
	t, err := l.take(ctx, n, false)
	return t.ok, l.wrap("allow", err)
}

// Wait takes n tokens and returns when they are available. If ctx has a deadline before that, it
// returns [context.DeadlineExceeded] at once. When ctx ends, the tokens go back if no call of this
// process has taken tokens after them. Otherwise Wait returns the errors of the package.
func (l *Limiter) Wait(ctx context.Context, n int64) error {
	r, err := l.reserve(ctx, n)
	if err == nil {
		err = r.wait(ctx)
	}
	return l.wrap("wait", err)
}

// Reserve takes n tokens, which are available after [Reservation.Delay]. Returns the errors of the
// package.
func (l *Limiter) Reserve(ctx context.Context, n int64) (*Reservation, error) {
	r, err := l.reserve(ctx, n)
	return r, l.wrap("reserve", err)
}

func (l *Limiter) reserve(ctx context.Context, n int64) (*Reservation, error) {
	t, err := l.take(ctx, n, true)
	if err != nil {
		return nil, err
	}
	return &Reservation{l, n, t}, nil
}

// Close gives the tokens of the block back, and ends the limiter. A limiter whose session ends
// without Close is like one whose process has died. It may be called again. Returns the errors of
// the package; the tokens go back with the session's lease then.
func (l *Limiter) Close(ctx context.Context) error {
	if l.bad != nil {
		return l.wrap("close", l.bad)
	}
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return l.wrap("close", ctxerr.Of(ctx))
	}
	return l.wrap("close", l.giveBack(ctx))
}

// Reservation is tokens that were taken. It is safe for concurrent use.
type Reservation struct {
	l     *Limiter
	n     int64
	taken taken
}

// Delay returns the time until the tokens are available, 0 if they are.
func (r *Reservation) Delay() time.Duration { return time.Duration(max(0, r.taken.at-now())) }

// Cancel gives the tokens back, unless another call of this process has taken tokens after them: as
// those cannot be moved, the tokens count as used then.
func (r *Reservation) Cancel() {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	if b := r.l.block; b == r.taken.from && b.used == r.taken.end {
		b.used -= r.n
		r.n = 0
	}
}

func (r *Reservation) wait(ctx context.Context) error {
	delay := r.Delay()
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay {
		r.Cancel()
		return fmt.Errorf("tokens are available in %v: %w", delay, context.DeadlineExceeded)
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return r.l.s.Err()
	case <-r.l.s.Context().Done():
		return r.l.s.Err()
	case <-ctx.Done():
		r.Cancel()
		return ctxerr.Of(ctx)
	}
}

func (l *Limiter) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("limit: %s %q: %w", verb, l.name, err)
}

func now() int64 { return time.Now().UnixNano() }
