package mutex

import (
	"context"
	"sync"

	"github.com/holdfast-go/holdfast/internal/line"
)

// Locker makes the lock a [sync.Locker], for code that takes one. What cannot be returned goes to failed: a Lock that did
// not get the lock, or an Unlock that found it lost. When failed returns, Lock returns without the lock; so failed will
// usually end the goroutine or the program. ctx bounds the wait for the lock; goroutines that share a Locker wait for each
// other first, as with a sync.Mutex.
func (m *Mutex) Locker(ctx context.Context, failed func(error)) sync.Locker {
	return &locker{m: m, ctx: ctx, failed: failed}
}

type locker struct {
	m      *Mutex
	ctx    context.Context //nolint:containedctx // sync.Locker has no other way
	failed func(error)

	mu   sync.Mutex // the holder's; also makes the field below visible to the next
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
		return // failed has been told
	}
	if err := line.Finish(l.ctx, held.grip, held.Unlock); err != nil {
		l.failed(err)
	}
}
