package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Hold is a lock, a permit, a leadership or a claim; see session.Hold. It is safe for concurrent
// use.
type Hold struct {
	s     *Session
	key   string
	fence int64 // the key's create_revision

	mu     sync.Mutex
	under  under
	ended  error           // the cause; nil if it lasts as long as the session
	ctx    context.Context //nolint:containedctx // made by the first call of Context
	cancel context.CancelCauseFunc
	onEnd  context.CancelCauseFunc // see OnEnd; nil if there is none
	limit  *limit                  // nil if the hold has none
	owner  string                  // the key's value, if the hold is detachable; see detach.go
	moved  int64                   // the fence of an adopted hold; 0 for any other
	known  int64                   // the revision at which it was adopted; 0 for any other
}

// Context is documented at session.Hold.Context.
func (h *Hold) Context() context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ctx != nil:
	case h.ended != nil: // before the session, which may have ended since
		h.ctx, h.cancel = context.WithCancelCause(context.WithoutCancel(h.s.ctx))
		h.cancel(h.ended)
	default:
		h.ctx, h.cancel = context.WithCancelCause(h.s.ctx)
	}
	return h.ctx
}

// end ends the hold unless it has ended already.
func (h *Hold) end(cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended != nil {
		return
	}
	if h.s.ctx.Err() != nil {
		cause = context.Cause(h.s.ctx)
	}
	h.ended = cause
	if h.cancel != nil {
		h.cancel(cause)
	}
	if h.onEnd != nil {
		h.onEnd(cause)
	}
}

// OnEnd cancels another context when the hold ends. A release does that before its request, which
// then has a time of its own if the caller has passed that context. It is not called at the end of
// the session.
func (h *Hold) OnEnd(cancel context.CancelCauseFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.onEnd = cancel; h.ended != nil {
		cancel(h.ended)
	}
}

// KeyDeleted ends the hold because another client has deleted its key.
func (h *Hold) KeyDeleted() {
	if h.Err() == nil {
		h.end(h.s.keyDeleted(h.key, h.fence))
	}
}

// Fence is documented at session.Hold.Fence.
func (h *Hold) Fence() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.under.passed {
		return 0
	}
	h.under.shown = true
	return cmp.Or(h.moved, h.fence)
}

// Guard is documented at session.Hold.Guard.
func (h *Hold) Guard() gateway.Cmp {
	if !h.expose() { // a compare that does not hold
		return gateway.CmpCreateRevision(h.key, gateway.Less, 0)
	}
	return h.guard()
}

// Key is documented at session.Hold.Key.
func (h *Hold) Key() string {
	h.expose() // with the fence, it makes a guard
	return h.key
}

// Deadline is documented at session.Hold.Deadline.
func (h *Hold) Deadline() time.Time {
	until := h.s.Deadline()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limit != nil {
		if end := time.Now().Add(h.limit.left()); end.Before(until) {
			return end
		}
	}
	return until
}

// Err is documented at session.Hold.Err.
func (h *Hold) Err() error {
	h.mu.Lock()
	ended, late := h.ended, h.overdue()
	h.mu.Unlock()
	if ended != nil {
		return ended
	}
	if err := h.s.Err(); err != nil || !late {
		return err
	}
	h.end(lost(ErrOverdue))
	return h.Err()
}

// Txn is documented at session.Hold.Txn.
func (h *Hold) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	var resp *gateway.TxnResponse
	err := h.Err() // the guard may hold for longer, see OverdueGrace
	if err == nil && !h.beginTxn() {
		err = h.Err()
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNotHeld, err)
	} else {
		resp, err = h.s.TxnUnder(ctx, t, h.guard())
		h.endTxn(err)
	}
	if errors.Is(err, ErrNotHeld) && !errors.Is(err, ErrLost) { // the guard; h may live on
		err = errors.Join(err, h.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("session: txn under %s: %w", h.key, err)
	}
	return resp, nil
}

// TxnUnder is [Session.Txn] under all of the guards. It returns [ErrNotHeld] when one of them does
// not hold, or when the session was lost.
func (s *Session) TxnUnder(
	ctx context.Context, t gateway.Txn, guards ...gateway.Cmp,
) (*gateway.TxnResponse, error) {
	resp, err := s.transact(ctx, t, false, 0, guards...)
	if s.ctx.Err() != nil && errors.Is(err, ErrLost) && !errors.Is(err, ErrNotHeld) {
		err = fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	return resp, err
}
