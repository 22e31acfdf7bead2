package barrier

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// ErrBroken is the error of an Await whose round was broken: another member gave up or was lost, or somebody reset it.
var ErrBroken = errors.New("round broken")

// Cyclic names a barrier that n members pass together, round after round. It is immutable and safe for concurrent use;
// making one does no I/O.
type Cyclic struct {
	rounds
}

// NewCyclic names the cyclic barrier that all sessions share under name, for rounds of n members, which must be the same
// for all. Arguments that cannot be used are reported by the first call.
func NewCyclic(s *session.Session, name string, n int) *Cyclic {
	return &Cyclic{rounds{newPlace(s, name, "cyclic", n, MaxParties), true}}
}

// Arrival tells which round was passed.
type Arrival struct {
	Round int64 // from 1; broken rounds count
	Fence int64 // grows in the order of arrival
}

// Await waits until n members of the round wait, and passes with them. It is [ErrBroken] if the round was broken
// meanwhile. If it fails because ctx ended, the round breaks, unless it was complete in that very moment.
func (c *Cyclic) Await(ctx context.Context) (Arrival, error) {
	h, passed, err := c.pass(ctx)
	if err != nil {
		return Arrival{}, c.wrap("await", err)
	}
	_ = line.GiveBack(ctx, h.Grip, h.Grip.Release) // whatever becomes of it, the round is passed
	return Arrival{Round: passed.Number, Fence: h.Fence()}, nil
}

// Reset breaks the round that is open now. Where nobody waits there is nothing to break.
func (c *Cyclic) Reset(ctx context.Context) error { return c.wrap("reset", c.reset(ctx)) }

func (c *Cyclic) reset(ctx context.Context) error {
	v, err := c.look(ctx)
	if err != nil {
		return err
	}
	now, err := stateOf(&c.line, v)
	if all := now.waiting(); err == nil && len(all) > 0 {
		err = c.breakUp(ctx, all[0].Fence)
	}
	return err
}
