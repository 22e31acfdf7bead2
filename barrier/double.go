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

// Double names a barrier that n members enter together and leave together, any number of times. It is immutable and safe
// for concurrent use; making one does no I/O.
type Double struct {
	rounds
}

// NewDouble names the double barrier that all sessions share under name, for rounds of n members, which must be the same
// for all. Arguments that cannot be used are reported by the first call.
func NewDouble(s *session.Session, name string, n int) *Double {
	return &Double{rounds{newPlace(s, name, "double", n, MaxParties), false}}
}

// Entry is the membership of one round. See [session.Hold] for what it offers.
type Entry struct {
	hold  *core.Hold
	grip  *core.Releaser
	at    *Double
	round round
	left  atomic.Bool
}

// Round numbers the rounds of the barrier, from 1.
func (e *Entry) Round() int64 { return e.round.Number }

// Enter waits until n members of this round have entered, this one included. If it fails the member is taken out and
// another may take its place, unless the round was completed in that very moment: then it has left the round.
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

// Leave leaves, which ends the context of the entry at once, and waits until all members of the round have left or were
// lost. If it is cut off it may be called again. It is [session.ErrNotHeld] if this member was lost before, and does not
// wait then. If ctx has ended before the call, Leave has 1 s of its own to leave, and does not wait for the others.
//
// A member that dies between Enter and Leave keeps the others in Leave for as long as its session lives at the server, and
// they return nil then: Leave does not tell the dead from those who left. Where the round is worth nothing without the
// work of all, let each record that it is done, under its entry (see [session.Hold.Txn]), and look after Leave.
func (e *Entry) Leave(ctx context.Context) error { return e.at.wrap("leave", e.leave(ctx)) }

func (e *Entry) leave(ctx context.Context) error {
	switch err := e.grip.Release(ctx); {
	case err == nil:
		e.left.Store(true)
	case !e.left.Load() || !errors.Is(err, session.ErrNotHeld): // else it is only to be waited for
		return err
	}
	return e.at.line.Until(ctx, func(v line.Snapshot) (bool, error) { // which has shown the round already, and does not go back
		return !e.round.anyIn(v), nil
	})
}
