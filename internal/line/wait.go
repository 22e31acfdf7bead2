package line

import (
	"cmp"
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// waiter is a member that waits in this process.
type waiter struct {
	Member
	wake  chan struct{} // receives when waiterState may have changed, or the mirror is stale
	abort func(Snapshot, Member) error
	yield bool // see Join.Yield
	early bool // see early.go
	waiterState
}

// waiterState is the outcome of a wait.
type waiterState struct {
	admitted bool
	gone     bool
	aborted  error
	before   *lastLeft // the last member that left before the admission
	heard    bool      // the next member may wait for the note of this one, see far.go
}

// nobodySeen is for a member that has waited, and whose mirror was read again after the last one
// left.
var nobodySeen = &lastLeft{}

// admission is how a member that has waited was admitted.
type admission struct {
	before *lastLeft // the last member that this process saw leave, or nobodySeen
	direct bool      // the member did not follow the whole line
	note   note      // for the next member, which may wait for it, see far.go
}

// wait returns when the rule admits the member. far is not nil if the member does not follow the
// whole line.
func (l *Line) wait(ctx context.Context, j Join, me Member, far *joinAnswer) (admission, error) {
	defer l.observeWait(ctx, j, me)()
	ctx, cancel := l.Session.Bound(ctx)
	defer cancel()
	if far != nil {
		note, err := l.waitFarBack(ctx, j, me, *far)
		if !errors.Is(err, errNear) {
			return admission{direct: true, note: note}, err
		}
	}
	m := l.acquireMirror()
	defer m.release()
	return l.waitIn(ctx, m, j, me)
}

// waitIn returns when the mirror admits the member.
func (l *Line) waitIn(ctx context.Context, m *mirror, j Join, me Member) (admission, error) {
	w := m.addWaiter(me, j, l.grantsEarly())
	defer m.removeWaiter(w)
	for {
		if err := m.Sync(ctx); err != nil {
			return admission{}, l.endCause(ctx, err)
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return admission{}, l.endCause(ctx, ctxerr.Of(ctx))
		}
		switch state := m.stateOf(w); {
		case state.gone:
			return admission{}, l.removed(ctx, me)
		case state.admitted:
			before := cmp.Or(state.before, nobodySeen)
			return admission{before: before, note: j.noteIf(state.heard)}, nil
		case state.aborted != nil:
			return admission{}, state.aborted
		}
	}
}

func (l *Line) observeWait(ctx context.Context, j Join, me Member) (done func()) {
	if j.Standby {
		return func() {}
	}
	return l.Session.ObserveWait(ctx,
		core.HoldInfo{Kind: l.Kind, Name: l.Name, Key: me.Key, Fence: me.Fence})
}

// addWaiter registers a waiter for a member that has joined.
func (m *mirror) addWaiter(me Member, j Join, early bool) *waiter {
	w := &waiter{
		Member: me, wake: make(chan struct{}, 1), abort: j.Abort, yield: j.Yield, early: early,
	}
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
