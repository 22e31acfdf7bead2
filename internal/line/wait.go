package line

import (
	"cmp"
	"context"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// waiter is a member that waits in this process.
type waiter struct {
	Member
	wake  chan struct{} // receives when waiterState may have changed, or the mirror is stale
	abort func(Snapshot, Member) error
	early bool // see early.go
	waiterState
}

// waiterState is the outcome of a wait.
type waiterState struct {
	admitted bool
	gone     bool
	aborted  error
	before   *lastLeft // the last member that left before the admission
}

// nobodySeen is for a member that has waited, and whose mirror was read again after the last one
// left.
var nobodySeen = &lastLeft{}

// wait returns when the mirror admits the member. It returns the member that was seen to leave
// last, or nobodySeen.
func (l *Line) wait(ctx context.Context, j Join, me Member) (*lastLeft, error) {
	defer l.observeWait(ctx, me)()
	m := l.acquireMirror()
	defer m.release()
	ctx, cancel := l.Session.Bound(ctx)
	defer cancel()
	w := m.addWaiter(me, j.Abort, l.grantsEarly())
	defer m.removeWaiter(w)
	for {
		if err := m.Sync(ctx); err != nil {
			return nil, l.endCause(ctx, err)
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, l.endCause(ctx, ctxerr.Of(ctx))
		}
		switch state := m.stateOf(w); {
		case state.gone:
			return nil, l.removed(ctx, me)
		case state.admitted:
			return cmp.Or(state.before, nobodySeen), nil
		case state.aborted != nil:
			return nil, state.aborted
		}
	}
}

func (l *Line) observeWait(ctx context.Context, me Member) (done func()) {
	if l.Standby {
		return func() {}
	}
	return l.Session.ObserveWait(ctx,
		core.HoldInfo{Kind: l.Kind, Name: l.Name, Key: me.Key, Fence: me.Fence})
}

// addWaiter registers a waiter for a member that has joined.
func (m *mirror) addWaiter(me Member, abort func(Snapshot, Member) error, early bool) *waiter {
	w := &waiter{Member: me, wake: make(chan struct{}, 1), abort: abort, early: early}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiters[me.Key] = w
	if m.synced {
		m.review(w)
		m.decide()
	}
	return w
}

func (m *mirror) removeWaiter(w *waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiters[w.Key] == w {
		delete(m.waiters, w.Key)
	}
}

func (m *mirror) stateOf(w *waiter) waiterState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return w.waiterState
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
