package line

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Hold is an admitted member and its releaser.
type Hold struct {
	*core.Hold
	Grip *core.Releaser
}

// admit returns a hold for an admitted member, once the lock delay is over and the session is not
// suspect.
func (l *Line) admit(ctx context.Context, asked time.Time, a admitted) (Hold, error) {
	h, err := l.hold(ctx, a)
	if err != nil {
		return Hold{}, err
	}
	return l.hand(ctx, asked, h)
}

// hold returns a hold for an admitted member, once the lock delay is over.
func (l *Line) hold(ctx context.Context, a admitted) (Hold, error) {
	h, grip := l.Session.Hold(a.Key, a.Fence, a.free)
	l.note(h, a)
	if l.grantsEarly() {
		grip.OnQuiet = l.quiet
	}
	if err := l.awaitDelay(ctx, h, a.Member, a.before); err != nil {
		grip.Abandon(ctx)
		return Hold{}, err
	}
	// Not before the delay is over: a release within it must not end the delay of the next member.
	grip.AddReleaseOps(l.releaseOps(a)...)
	grip.Deferred = l.Defer
	return Hold{h, grip}, nil
}

// hand waits while the session is suspect, and reports the hold before its caller gets it.
func (l *Line) hand(ctx context.Context, asked time.Time, h Hold) (Hold, error) {
	handed := false
	defer func() {
		if !handed { // also if a hook panicked, because no caller can release the hold then
			h.Abandon(ctx)
		}
	}()
	err := l.Session.Ready(ctx)
	if err == nil {
		err = h.Err()
	}
	if err != nil {
		return Hold{}, err
	}
	if l.MaxHold > 0 {
		h.Grip.Limit(l.MaxHold)
	}
	l.Session.ObserveHold(ctx, h.Hold, l.Kind, l.Name, asked)
	handed = true
	return h, nil
}

// Abandon releases the hold in the background.
func (h Hold) Abandon(ctx context.Context) { h.Grip.Abandon(ctx) }

// GiveBack calls release and returns its error. It is for the end of a function that ran under the
// hold: if release fails, GiveBack abandons the hold, because no caller is left to retry.
func GiveBack(ctx context.Context, grip *core.Releaser, release func(context.Context) error) error {
	err := release(ctx)
	if err != nil {
		grip.Abandon(ctx)
	}
	return err
}

// Finish is [GiveBack] with a deadline of its own instead of ctx's. Call it in a defer, because the
// function under the hold may panic or end its goroutine, and a caller that recovers has no hold to
// release. A hold that the function has released itself is not an error; a release of it that etcd
// rejected goes on in the background.
func Finish(ctx context.Context, grip *core.Releaser, release func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FinishTimeout)
	defer cancel()
	if grip.Released() {
		grip.Abandon(ctx)
		return nil
	}
	return GiveBack(ctx, grip, release)
}

// PutValue replaces the value of a hold's key. Returns [core.ErrNotHeld] when the hold has ended.
// When ctx ends during the request it returns [gateway.ErrUncertain], and calls resolved once the
// session knows the outcome. resolved may be nil.
func (l *Line) PutValue(ctx context.Context, h Hold, value string, resolved func()) error {
	if err := h.Err(); err != nil {
		return NotHeld(err)
	}
	lease := gateway.WithLease(l.Session.Lease())
	out, err := l.Session.Write(ctx, core.Write{
		If:         []gateway.Cmp{h.Guard()},
		Then:       []gateway.Op{gateway.OpPut(h.Key(), []byte(value), lease)},
		OnResolved: resolved,
	})
	switch {
	case errors.Is(err, core.ErrLost) && h.Err() != nil: // else ctx ended with another hold
		return NotHeld(err)
	case err == nil && !out.Applied:
		return core.ErrNotHeld
	}
	return err
}

// NotHeld adds [core.ErrNotHeld] to the reason.
func NotHeld(why error) error { return fmt.Errorf("%w: %w", core.ErrNotHeld, why) }
