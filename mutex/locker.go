package mutex

import (
	"context"
	"sync"

	"github.com/holdfast-go/holdfast/internal/line"
)

// Locker returns the lock as a [sync.Locker], for code that takes one. Errors that its methods
// cannot return are passed to failed: the error of a Lock that did not acquire the lock, or of an
// Unlock that found it lost or could not release it. If failed returns, Lock returns without the
// lock; so failed usually ends the goroutine or the program. ctx bounds the wait for the lock.
// Goroutines that share a Locker first wait for each other, as with a sync.Mutex, and ctx does not
// bound that wait.
func (m *Mutex) Locker(ctx context.Context, failed func(error)) sync.Locker {
	return &locker{m: m, ctx: ctx, failed: failed}
}

type locker struct {
	m      *Mutex
	ctx    context.Context //nolint:containedctx // sync.Locker has no other way
	failed func(error)

	mu   sync.Mutex // locked by the holder; also makes the field below visible to the next one
	held *Lock
}

func (l *locker) Lock() {
	l.mu.Lock()
	done := false
	defer func() {
		if !done { // failed has ended the goroutine, which will not unlock
			l.mu.Unlock()
		}
	}()
	var err error
	if l.held, err = l.m.Lock(l.ctx); err != nil {
		l.failed(err)
	}
	done = true
}

func (l *locker) Unlock() {
	held := l.held
	l.held = nil
	l.mu.Unlock()
	if held == nil {
		return // failed was called
	}
	if err := line.Finish(l.ctx, held.hold.Grip, held.Unlock); err != nil {
		l.failed(err)
	}
}
