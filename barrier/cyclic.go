package barrier

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
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
	return &Cyclic{rounds{newPlace(s, name, "cyclic", n), true}}
}

// Arrival tells which round was passed.
type Arrival struct {
	Round int64 // from 1; broken rounds count
	Fence int64 // grows in the order of arrival
}

// Await waits until n members of the round wait, and passes with them. It is [ErrBroken] if the round was broken
// meanwhile. If it fails because ctx ended, the round breaks, unless n wait already.
func (c *Cyclic) Await(ctx context.Context) (Arrival, error) {
	me, free, f, err := c.pass(ctx)
	if err != nil {
		return Arrival{}, c.wrap("await", err)
	}
	w := session.Write{
		Then:    []gateway.Op{gateway.OpDelete(me.Key)},
		Undo:    []gateway.Op{gateway.OpDelete(me.Key)},
		Insist:  true,
		Settled: func(session.Outcome) { free() },
	}
	if _, err := c.line.Session.Write(ctx, w); err == nil { // if it fails, the fate of the round is the same
		free()
	}
	if f.Broken {
		return Arrival{}, c.wrap("await", ErrBroken)
	}
	return Arrival{Round: f.Round, Fence: me.Fence}, nil
}

// Reset breaks the round that is open now. Where nobody waits there is nothing to break, and a round for which n wait
// already is passed.
func (c *Cyclic) Reset(ctx context.Context) error {
	if err := c.reset(ctx); err != nil {
		return c.wrap("reset", err)
	}
	return nil
}

func (c *Cyclic) reset(ctx context.Context) error {
	if err := c.check(ctx, MaxParties); err != nil {
		return err
	}
	v, err := c.read(ctx)
	for open := int64(0); err == nil; {
		var now state
		if now, err = stateOf(v); err != nil {
			break
		}
		if err := c.agrees(v.Settings[partiesSetting]); err != nil {
			return err
		}
		if open == 0 {
			open = now.last.Round + 1
		}
		if len(now.waiting()) == 0 || now.last.Round >= open {
			return nil
		}
		v, err = c.decide(ctx, now)
	}
	return err
}
