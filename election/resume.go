package election

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
)

// Resume goes on with what an earlier life of the session, one made by [session.Resume], has left in this election: its
// leadership, with the fence and the value that it had, or its candidacy, for whose turn Resume waits. Of several it
// takes the oldest and removes the others. It is [session.ErrNotHeld] if there is none, or if another Resume of this
// session has it.
//
// As with [Election.Campaign], a Resume that fails otherwise leaves no candidate behind; one whose session was lost, or
// that could not look, leaves all as it was. One that has to step aside for an heir ([Term.TransferTo]) campaigns anew.
// With a delay ([Options]) a leader that is resumed waits as after an unclean end; nobody else leads meanwhile.
func (e *Election) Resume(ctx context.Context) (*Term, error) {
	h, value, err := e.resume(ctx)
	switch {
	case errors.Is(err, errAside):
		return e.Campaign(ctx, value)
	case err != nil:
		return nil, e.wrap("resume", err)
	}
	return e.term(h), nil
}

func (e *Election) resume(ctx context.Context) (_ line.Hold, value string, _ error) {
	if err := e.line.Check(ctx); err != nil {
		return line.Hold{}, "", err
	}
	// A step-down that the earlier life did not finish has failed, and the leader's term goes on.
	s, key := e.line.Session, e.line.SettingKey(heir)
	forget := core.Write{If: s.OwnedByPredecessor(key), Then: []gateway.Op{gateway.OpDelete(key)}, Guarded: true}
	if _, err := s.Write(ctx, forget); err != nil {
		return line.Hold{}, "", err
	}
	return e.line.Resume(ctx, line.Join{Aside: aside})
}
