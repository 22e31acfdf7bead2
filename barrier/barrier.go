package barrier

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Barrier names a barrier that is up as long as a session holds it up, or it is raised. It is
// immutable and safe for concurrent use; making one does no I/O.
//
// Each hold is a member of a line, and [Barrier.Raise] puts a key beside the line. The barrier is
// down when there are no members and no such key.
type Barrier struct {
	place
}

const raisedSetting = "raised"

// New names the barrier that all sessions share under name. Calls return [gateway.ErrInvalid] if
// the name cannot be used.
func New(s *session.Session, name string) *Barrier {
	return &Barrier{newPlace(s, name, "simple", 1, 1)}
}

// Hold is a hold of a barrier. See [session.Hold] for its context, fence and guard. It is safe
// for concurrent use.
type Hold struct {
	hold *core.Hold
	grip *core.Releaser
	at   *place
}

// Hold holds the barrier up until Release, or until the session ends. Several callers may hold it:
// it is down when all have released it. Hold returns the context's error when ctx ends first, and
// [session.ErrLost] when the session has ended. After an error nothing holds the barrier up for
// this call once the session has resolved its write.
func (b *Barrier) Hold(ctx context.Context) (*Hold, error) {
	h, err := b.line.Enter(ctx, line.Join{})
	if err != nil {
		return nil, b.wrap("hold", err)
	}
	return &Hold{h.Hold, h.Grip, &b.place}, nil
}

// Release ends the hold. It returns [session.ErrNotHeld] when the hold had ended before. If ctx
// ends first it returns [gateway.ErrUncertain] and the context's error, and the session continues
// the release in the background; another Release waits for that. If ctx had ended before the call,
// Release has 1 s of its own. After any other error (etcd rejected the request) the key holds the
// barrier up until the session ends: call Release again.
func (h *Hold) Release(ctx context.Context) error {
	return h.at.wrap("release", h.grip.Release(ctx))
}

// Raise raises the barrier without binding it to the session: it stays up until Lower, by any
// session. Raising it again changes nothing. Raise returns [session.ErrLost] when the session has
// ended, and the context's error when ctx ends first, with [gateway.ErrUncertain] if the barrier
// may have been raised.
func (b *Barrier) Raise(ctx context.Context) error {
	err := b.check(ctx)
	if err == nil {
		raise := gateway.OpPut(b.line.SettingKey(raisedSetting), nil)
		_, err = b.line.Session.Write(ctx, core.Write{Then: []gateway.Op{raise}})
	}
	return b.wrap("raise", err)
}

// Lower undoes a Raise by any session. Holds of the barrier are not affected. Lower returns
// [session.ErrNotHeld] when the barrier was not raised, [session.ErrLost] when the session has
// ended, and the context's error when ctx ends first, with [gateway.ErrUncertain] if the request
// was sent; the session then continues in the background. If ctx had ended before the call, Lower
// has 1 s of its own.
func (b *Barrier) Lower(ctx context.Context) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	err := b.check(ctx)
	if err == nil {
		err = b.line.Session.Remove(ctx, b.line.SettingKey(raisedSetting))
	}
	return b.wrap("lower", err)
}

// Wait returns nil when the barrier was down at some moment after the call. It returns the
// context's error when ctx ends first, and [session.ErrLost] when the session ends.
func (b *Barrier) Wait(ctx context.Context) error { return b.wrap("wait", b.wait(ctx)) }

func (b *Barrier) wait(ctx context.Context) error {
	now, err := b.line.Now(ctx)
	if err != nil || !up(now) {
		return err
	}
	return b.line.Until(ctx, func(v line.Snapshot) (bool, error) {
		return v.Revision > now.Revision && !up(v), nil
	})
}

func up(v line.Snapshot) bool {
	_, raised := v.Settings[raisedSetting]
	return raised || len(v.Members) > 0
}
