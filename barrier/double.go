package barrier

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Double names a barrier that n members enter together and leave together, any number of times. It
// is immutable and safe for concurrent use; making one does no I/O.
type Double struct {
	rounds
}

// NewDouble names the double barrier that all sessions share under name, for rounds of n members.
// All must use the same n. Calls return [gateway.ErrInvalid] if the name cannot be used or n is not
// between 1 and [MaxParties].
func NewDouble(s *session.Session, name string, n int) *Double {
	return &Double{rounds{newPlace(s, name, "double", n, MaxParties), false}}
}

// Entry is the membership of one round. See [session.Hold] for its context, fence and guard. It
// is safe for concurrent use.
type Entry struct {
	hold  *core.Hold
	grip  *core.Releaser
	at    *Double
	round round
	left  atomic.Bool
}

// Round returns the number of the round. The first is 1.
func (e *Entry) Round() int64 { return e.round.Number }

// Enter waits until n members of this round have entered, this one included. It returns
// [ErrConfigMismatch] when the name was declared otherwise, the context's error when ctx ends
// first, and [session.ErrLost] when the session ends or the member's key is deleted. After an error
// the member is removed and another may take its place, unless the round was already complete: then
// the member has left the round.
func (d *Double) Enter(ctx context.Context) (*Entry, error) {
	h, passed, err := d.pass(ctx)
	if err == nil {
		if err = cmp.Or(d.line.Session.Ready(ctx), h.Err()); err != nil {
			h.Abandon(ctx)
		}
	}
	if err != nil {
		return nil, d.wrap("enter", err)
	}
	return &Entry{hold: h.Hold, grip: h.Grip, at: d, round: passed}, nil
}

// Leave ends the membership, and with it the entry's context, then waits until all members of the
// round have left or were lost. It returns [session.ErrNotHeld] at once when this member was lost
// before. If ctx ends first it returns the context's error, with [gateway.ErrUncertain] if its own
// leave was under way; call it again to continue. If ctx had ended before the call, Leave has 1 s
// of its own to leave, and does not wait for the others.
//
// A member that dies between Enter and Leave keeps the others in Leave until its session ends at
// the server. They then return nil, because Leave cannot distinguish a lost member from one that
// left. If the round needs the work of all members, let each record its result under its entry (see
// [session.Hold.Txn]), and check the records after Leave.
func (e *Entry) Leave(ctx context.Context) error { return e.at.wrap("leave", e.leave(ctx)) }

func (e *Entry) leave(ctx context.Context) error {
	switch err := e.grip.Release(ctx); {
	case err == nil:
		e.left.Store(true)
	case !e.left.Load() || !errors.Is(err, session.ErrNotHeld): // else it has left, and only waits
		return err
	}
	// The snapshots are never older than the round.
	return e.at.line.Until(ctx, func(v line.Snapshot) (bool, error) {
		return !e.round.anyIn(v), nil
	})
}
