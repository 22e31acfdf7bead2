package barrier

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Barrier names a barrier that is up as long as anybody holds it up. It is immutable and safe for concurrent use; making
// one does no I/O.
//
// Each who holds it is a member of a line; whoever raised it without a session has put a key beside the line. It is down
// when neither is there.
type Barrier struct {
	place
}

const raisedSetting = "raised"

// New names the barrier that all sessions share under name. A name that cannot be used is reported by the first call.
func New(s *session.Session, name string) *Barrier {
	return &Barrier{newPlace(s, name, "simple", 1, 1)}
}

// Hold is a barrier held up. See [session.Hold] for what it offers.
type Hold struct {
	hold *core.Hold
	grip *core.Releaser
	at   *place
}

// Hold holds the barrier up until Release, or until the session ends. Several may: it is down when all have released it.
func (b *Barrier) Hold(ctx context.Context) (*Hold, error) {
	h, err := b.line.Enter(ctx, line.Join{})
	if err != nil {
		return nil, b.wrap("hold", err)
	}
	return &Hold{h.Hold, h.Grip, &b.place}, nil
}

// Release ends the hold. It is [session.ErrNotHeld] if that had ended before. If ctx ends first Release returns
// [gateway.ErrUncertain] and the context's error, and the session goes on with it; another Release waits for that.
// If ctx has ended before the call, Release has 1 s of its own.
func (r *Hold) Release(ctx context.Context) error {
	return r.at.wrap("release", r.grip.Release(ctx))
}

// Raise raises the barrier without binding it to the session: it stays up until somebody, of whatever session, calls
// Lower. Raising it again changes nothing.
func (b *Barrier) Raise(ctx context.Context) error {
	err := b.check(ctx)
	if err == nil {
		raise := gateway.OpPut(b.line.SettingKey(raisedSetting), nil)
		_, err = b.line.Session.Write(ctx, core.Write{Then: []gateway.Op{raise}})
	}
	return b.wrap("raise", err)
}

// Lower undoes a Raise, whoever called it; those who hold the barrier up go on doing so. It is [session.ErrNotHeld] if
// the barrier was not raised so. If ctx has ended before the call, Lower has 1 s of its own.
func (b *Barrier) Lower(ctx context.Context) error {
	ctx, cancel := grace.Of(ctx)
	defer cancel()
	err := b.check(ctx)
	if err == nil {
		err = b.line.Session.Remove(ctx, b.line.SettingKey(raisedSetting))
	}
	return b.wrap("lower", err)
}

// Wait returns when the barrier is down: when it was, at some moment after the call.
func (b *Barrier) Wait(ctx context.Context) error { return b.wrap("wait", b.wait(ctx)) }

func (b *Barrier) wait(ctx context.Context) error {
	now, err := b.line.Now(ctx)
	if err != nil || !up(now) {
		return err
	}
	return b.line.Until(ctx, func(v line.Snapshot) (bool, error) { return v.Revision > now.Revision && !up(v), nil })
}

func up(v line.Snapshot) bool {
	_, raised := v.Settings[raisedSetting]
	return raised || len(v.Members) > 0
}
