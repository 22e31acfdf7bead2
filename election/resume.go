package election

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
)

// Resume continues a leadership or candidacy that an earlier life of the session left in this
// election. The session must be from [session.Resume]. A leadership keeps its fence and value; with
// a candidacy, Resume waits until it leads. Of several it continues the oldest and removes the
// others. It returns [session.ErrNotHeld] when there is none, or when another Resume of this
// session has continued it.
//
// After any other error its candidates are removed, as with [Election.Campaign], unless the session
// was lost or Resume failed before it had read the election. Then they remain, and if one of them
// is the first, no other candidate leads before the session ends: repeat Resume, or close the
// session. A candidate that has to step aside for an heir ([Term.TransferTo]) or a higher priority
// campaigns again. With a delay ([Options]) a resumed leader waits as after an unclean end, and no
// other candidate leads meanwhile.
func (e *Election) Resume(ctx context.Context) (*Term, error) {
	h, value, err := e.resume(ctx)
	outranked, isOutranked := errors.AsType[*outrankedError](err)
	switch {
	case errors.Is(err, errAside):
		return e.Campaign(ctx, value)
	case isOutranked:
		t, err := e.campaign(ctx, value, outranked.rank)
		return t, e.line.Wrap("campaign", err)
	case err != nil:
		return nil, e.line.Wrap("resume", err)
	}
	return e.term(h), nil
}

func (e *Election) resume(ctx context.Context) (_ line.Hold, value string, _ error) {
	if err := e.line.Check(ctx); err != nil {
		return line.Hold{}, "", err
	}
	// A step-down that the earlier life did not finish has failed, and the leader's term continues.
	s, key := e.line.Session, e.line.SettingKey(heir)
	forget := core.Write{
		If: s.OwnedByPredecessor(key), Then: []gateway.Op{gateway.OpDelete(key)}, Guarded: true,
	}
	if _, err := s.Write(ctx, forget); err != nil {
		return line.Hold{}, "", err
	}
	return e.line.Resume(ctx, line.Join{Abort: aside, Yield: true, Notes: true})
}
