package barrier

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Double names a barrier that n members enter together and leave together, any number of times. It
// is immutable, and making one does no I/O.
type Double struct {
	rounds
}

// NewDouble names the double barrier that all sessions share under name, for rounds of n members,
// at most [MaxParties]. All must use the same n.
func NewDouble(s *session.Session, name string, n int) *Double {
	return &Double{rounds{newPlace(s, name, double, n)}}
}

// Entry is the membership of one round. [session.Hold] documents its methods.
type Entry struct {
	member
	round round
	left  atomic.Bool
}

// Round returns the number of the round. The first is 1.
func (e *Entry) Round() int64 { return e.round.Number }

// Enter waits until n members of this round have entered, this one included. After an
// error the member is removed and another may take its place, unless the round was already
// complete: then the member has left the round.
func (d *Double) Enter(ctx context.Context) (*Entry, error) {
	h, passed, err := d.pass(ctx)
	if err == nil {
		if err = cmp.Or(d.line.Session.Ready(ctx), h.Err()); err != nil {
			h.Abandon(ctx)
		}
	}
	if err != nil {
		return nil, d.line.Wrap("enter", err)
	}
	return &Entry{member: member{h, &d.place}, round: passed}, nil
}

// Leave ends the membership, and with it the entry's context, then waits until all members of the
// round have left or were lost. It returns [session.ErrNotHeld] at once when this member was lost
// before. Repeat a Leave whose ctx has ended. If ctx had ended before the call, Leave has 1 s of
// its own to leave, and does not wait for the others.
//
// If a member dies between Enter and Leave, the others wait until its session ends at the server
// and then return nil. If the round needs the work of all members, let each record its result under
// its entry (see [Entry.Txn]), and check the records after Leave.
func (e *Entry) Leave(ctx context.Context) error {
	err := e.hold.Grip.Release(ctx)
	switch {
	case err == nil:
		e.left.Store(true)
	case e.left.Load() && errors.Is(err, session.ErrNotHeld): // it has left, and only waits
		err = nil
	}
	if err == nil {
		// The snapshots are never older than the round.
		err = e.at.line.Until(ctx, func(v line.Snapshot) (bool, error) {
			return !e.round.anyIn(v), nil
		})
	}
	return e.at.line.Wrap("leave", err)
}
