package barrier

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// ErrBroken is returned by [Cyclic.Await] when the round was broken: another member stopped waiting
// or was lost, or [Cyclic.Reset] was called.
var ErrBroken = errors.New("round broken")

// Cyclic names a barrier that n members pass together, round after round. It is immutable, and
// making one does no I/O.
type Cyclic struct {
	rounds
}

// NewCyclic names the cyclic barrier that all sessions share under name, for rounds of n members,
// at most [MaxParties]. All must use the same n.
func NewCyclic(s *session.Session, name string, n int) *Cyclic {
	return &Cyclic{rounds{newPlace(s, name, cyclic, n)}}
}

// Arrival names the round that was passed.
type Arrival struct {
	Round int64 // from 1; broken rounds count
	Fence int64 // grows in the order of arrival
}

// Await waits until n members of the round wait, and passes with them. It returns [ErrBroken] when
// the round was broken during the wait. If a member that waited returns an error, its round breaks
// unless it was already complete.
func (c *Cyclic) Await(ctx context.Context) (Arrival, error) {
	h, passed, err := c.pass(ctx)
	if err != nil {
		return Arrival{}, c.line.Wrap("await", err)
	}
	_ = line.GiveBack(ctx, h.Grip, h.Grip.Release) // the round is passed even if this fails
	return Arrival{Round: passed.Number, Fence: h.Fence()}, nil
}

// Reset breaks the open round, if any member waits in it. After [gateway.ErrUncertain] the round
// may have been broken.
func (c *Cyclic) Reset(ctx context.Context) error {
	v, err := c.look(ctx, &c.line)
	var now state
	if err == nil {
		now, err = stateOf(&c.line, v)
	}
	if all := now.waiting(); err == nil && len(all) > 0 {
		err = c.breakUp(ctx, all[0].Fence)
	}
	return c.line.Wrap("reset", err)
}
