package core

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
)

// A hold is quiet when no transaction can be applied under it any more, although its key still
// exists. A release makes it so unless a transaction may be under way that the session does not
// know the end of: one of the caller's own, because the Guard or the Key was asked for, or a Txn
// that failed or was not answered yet.

// under counts the transactions under a hold. Hold.mu guards it.
type under struct {
	running int  // calls of Txn
	unknown bool // a transaction may be under way that is none of these
	closed  bool // the hold is quiet
	shown   bool // the fence, or the time of the grant, is known outside of the session
	passed  bool // the key is another hold's, see pass.go
}

// silence makes the hold quiet, or returns false if that is impossible.
func (h *Hold) silence() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	// The release of a detachable hold may find that the key has another owner.
	h.under.closed = h.under.running == 0 && !h.under.unknown && h.owner == ""
	return h.under.closed
}

// beginTxn reports whether a transaction may be sent under the hold. endTxn must be called then.
func (h *Hold) beginTxn() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.under.closed {
		return false
	}
	h.under.running++
	return true
}

func (h *Hold) endTxn(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.under.running--
	h.under.unknown = h.under.unknown || err != nil
}

// expose notes that the caller may send a transaction under the hold. It returns false if the hold
// is quiet.
func (h *Hold) expose() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.under.unknown = true
	return !h.under.closed
}

// Write is [Session.Write] under the hold's guard. It returns [ErrNotHeld] when the hold is quiet.
func (h *Hold) Write(ctx context.Context, w Write) (Outcome, error) {
	if !h.beginTxn() {
		return Outcome{}, fmt.Errorf("%w: %w", ErrNotHeld, h.Err())
	}
	w.If = append([]gateway.Cmp{h.guard()}, w.If...)
	out, err := h.s.Write(ctx, w)
	h.endTxn(err)
	return out, err
}

// guard is [Hold.Guard] for the session's own writes, which end with the release.
func (h *Hold) guard() gateway.Cmp {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.owner != "" {
		return gateway.CmpValue(h.key, gateway.Equal, []byte(h.owner))
	}
	return gateway.CmpCreateRevision(h.key, gateway.Equal, h.fence)
}
