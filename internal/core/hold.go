package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Hold is what somebody holds: a lock, a permit, a leadership, a claim. It is safe for concurrent use.
type Hold struct {
	s     *Session
	key   string
	fence int64

	mu     sync.Mutex
	ended  error           // why; nil if it lasts as long as the session
	ctx    context.Context //nolint:containedctx // the life of the hold itself; made for the first who asks, as few do
	cancel context.CancelCauseFunc
}

// Context ends when the hold does: before the lease can expire, when the server takes the lease, when somebody deletes
// the key, or when the hold is given back. [context.Cause] then wraps [ErrLost], or is [ErrReleased].
func (h *Hold) Context() context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ctx != nil:
	case h.ended != nil: // not by the session, which may have ended since
		h.ctx, h.cancel = context.WithCancelCause(context.WithoutCancel(h.s.ctx))
		h.cancel(h.ended)
	default:
		h.ctx, h.cancel = context.WithCancelCause(h.s.ctx)
	}
	return h.ctx
}

// end ends the hold, if nothing else has.
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
}

// Fence is the revision that created the hold's key. Of two holds of one name the later has the greater fence. Pass it
// to whatever is written to outside of etcd, and let that refuse a smaller fence than it has seen.
func (h *Hold) Fence() int64 { return h.fence }

// Guard is a compare that holds for as long as the hold's key exists, for the caller's own transactions: with it a write
// is applied only under this hold, whatever the clocks say.
func (h *Hold) Guard() gateway.Cmp { return gateway.CmpCreateRevision(h.key, gateway.Equal, h.fence) }

// Key is the key in etcd that stands for the hold.
func (h *Hold) Key() string { return h.key }

// Deadline is when the hold ends unless the session is renewed before.
func (h *Hold) Deadline() time.Time { return h.s.Deadline() }

// Err is nil while the hold may be relied on, and else why it ended. It looks at the clock itself.
func (h *Hold) Err() error {
	h.mu.Lock()
	ended := h.ended
	h.mu.Unlock()
	if ended != nil {
		return ended
	}
	return h.s.Err()
}

// Txn applies a transaction of the caller's own under the hold: at most once, and only while the hold's key exists. Look
// at the error in this order: [gateway.ErrUncertain], ctx ended before it was known whether it was applied; [ErrNotHeld],
// it was not and will not be, since the hold has ended. See [Session.Txn] for what happens to lost answers.
func (h *Hold) Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error) {
	resp, err := h.s.TxnUnder(ctx, t, h.Guard())
	if errors.Is(err, ErrNotHeld) && !errors.Is(err, ErrLost) { // by the guard; the hold may not know yet
		err = errors.Join(err, h.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("session: txn under %s: %w", h.key, err)
	}
	return resp, nil
}

// TxnUnder is [Session.Txn] under all of the guards. It returns [ErrNotHeld] when one of them does not hold, or the session
// was lost.
func (s *Session) TxnUnder(ctx context.Context, t gateway.Txn, guards ...gateway.Cmp) (*gateway.TxnResponse, error) {
	resp, err := s.transact(ctx, t, false, guards...)
	if errors.Is(err, ErrLost) && !errors.Is(err, ErrNotHeld) {
		err = fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	return resp, err
}
