package barrier

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Barrier names a barrier that is up as long as a session holds it up, or it is raised: each hold
// is a member of a line, and [Barrier.Raise] puts a key beside the line. It is immutable, and
// making one does no I/O.
type Barrier struct {
	place
}

const raisedSetting = "raised"

// New names the barrier that all sessions share under name.
func New(s *session.Session, name string) *Barrier {
	return &Barrier{newPlace(s, name, simple, 1)}
}

// Hold is a hold of a barrier. [session.Hold] documents its methods.
type Hold struct {
	member
}

// Hold holds the barrier up until Release, or until the session ends. Several callers may hold it:
// it is down when all have released it. After an error nothing holds the barrier up for this call
// once the session has resolved its write.
func (b *Barrier) Hold(ctx context.Context) (*Hold, error) {
	h, err := b.line.Enter(ctx, line.Join{})
	if err != nil {
		return nil, b.line.Wrap("hold", err)
	}
	return &Hold{member{h, &b.place}}, nil
}

// Release ends the hold. It returns [session.ErrNotHeld] when the hold had ended before. See
// [session.Hold] for a Release that is cut off or fails.
func (h *Hold) Release(ctx context.Context) error {
	return h.at.line.Wrap("release", h.hold.Grip.Release(ctx))
}

// Raise raises the barrier without binding it to the session: it stays up until Lower, by any
// session. Raising it again changes nothing. After [gateway.ErrUncertain] it may be raised.
func (b *Barrier) Raise(ctx context.Context) error {
	err := b.check(ctx)
	if err == nil {
		raise := gateway.OpPut(b.line.SettingKey(raisedSetting), nil)
		_, err = b.line.Session.Write(ctx, core.Write{Then: []gateway.Op{raise}})
	}
	return b.line.Wrap("raise", err)
}

// Lower undoes a Raise by any session. Holds of the barrier are not affected. Lower returns
// [session.ErrNotHeld] when the barrier was not raised. After [gateway.ErrUncertain] the session
// continues in the background. If ctx had ended before the call, Lower has 1 s of its own.
func (b *Barrier) Lower(ctx context.Context) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	err := b.check(ctx)
	if err == nil {
		err = b.line.Session.Remove(ctx, b.line.SettingKey(raisedSetting))
	}
	return b.line.Wrap("lower", err)
}

// Wait returns nil when the barrier was down at some moment after the call. Returns the context's
// error when ctx ends first. The function [Wait] needs no session.
func (b *Barrier) Wait(ctx context.Context) error {
	return b.line.Wrap("wait", waitDown(ctx, &b.line))
}

func waitDown(ctx context.Context, from reader) error {
	now, err := from.Now(ctx)
	if err == nil && up(now) {
		err = from.Until(ctx, func(v line.Snapshot) (bool, error) {
			return v.Revision > now.Revision && !up(v), nil
		})
	}
	return err
}

func up(v line.Snapshot) bool {
	_, raised := v.Settings[raisedSetting]
	return raised || len(v.Members) > 0
}
