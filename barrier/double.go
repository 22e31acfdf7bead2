package barrier

import (
	"context"
	"errors"
	"sync/atomic"

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
	return &Double{rounds{newPlace(s, name, "double", n), false}}
}

// Entry is the membership of one round. See [session.Holding] for what it offers.
type Entry struct {
	*session.Holding
	grip *session.Grip
	at   *Double
	fate fate
	left atomic.Bool
}

// Round numbers the rounds of the barrier, from 1.
func (e *Entry) Round() int64 { return e.fate.Round }

// Enter waits until n members of this round have entered, this one included. If it fails the member is taken out and
// another may take its place, unless the round was completed in that very moment: then it has left the round.
func (d *Double) Enter(ctx context.Context) (*Entry, error) {
	me, free, f, err := d.pass(ctx)
	if err != nil {
		return nil, d.wrap("enter", err)
	}
	h, grip := d.line.Session.Hold(me.Key, me.Fence, free)
	err = d.line.Session.Ready(ctx)
	if err == nil {
		err = h.Err()
	}
	if err != nil {
		ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancel()
		_ = grip.Release(ended) // in the background
		return nil, d.wrap("enter", err)
	}
	return &Entry{Holding: h, grip: grip, at: d, fate: f}, nil
}

// Leave leaves, which ends the context of the entry at once, and waits until all members of the round have left or lost
// their sessions. If it is cut off it may be called again. It is [session.ErrNotHeld] if this member was lost before.
func (e *Entry) Leave(ctx context.Context) error {
	err := e.grip.Release(ctx)
	if err == nil {
		e.left.Store(true)
	} else if e.left.Load() && errors.Is(err, session.ErrNotHeld) {
		err = nil // it is only to be waited for
	}
	since := e.fate.To - 1
	for err == nil {
		v, missed := e.at.next(ctx, since)
		if err = missed; err == nil && !e.fate.anyIn(v) {
			return nil
		}
		since = v.Revision
	}
	return e.at.wrap("leave", err)
}
