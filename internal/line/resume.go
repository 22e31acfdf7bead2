package line

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Resume takes over the oldest member that an earlier life of the session left in the line, removes
// its other members, waits until the rule admits the oldest, and returns its hold and value. If it
// fails after it found a member, all of them have been removed or are being removed in the
// background.
//
// Returns [core.ErrNotHeld] when there is no such member or another Resume has taken it over, and
// else the errors of [Line.Enter].
//
// The lock delay is waited out again, because the line does not show whether the earlier life had
// waited it out.
func (l *Line) Resume(ctx context.Context, j Join) (_ Hold, value string, _ error) {
	asked := time.Now()
	v, err := l.Now(ctx)
	if err != nil {
		return Hold{}, "", err
	}
	keys := make([]string, len(v.Members))
	for i, m := range v.Members {
		keys[i] = m.Key
	}
	left := l.Session.AdoptKeys(l.prefix(), keys)
	if len(left) == 0 {
		return Hold{}, "", fmt.Errorf(
			"%w: no earlier life of this session has left a place", core.ErrNotHeld)
	}
	place := slices.Index(keys, left[0])
	me := v.Members[place]
	a := admitted{Member: me, free: func() {}} // a key of an earlier life is not used again
	err = l.remove(ctx, left[1:])
	if err == nil && place >= l.Rule(v) {
		a.admission, err = l.waitNear(ctx, j, me)
	} else { // the earlier life may have died before its note
		a.note = j.noteIf(place+1 < len(v.Members))
	}
	if err != nil {
		l.abandon(me, a.free)
		return Hold{}, me.Value, err
	}
	h, err := l.admit(ctx, asked, a)
	return h, me.Value, err
}

// waitNear is wait for a member that follows the whole line.
func (l *Line) waitNear(ctx context.Context, j Join, me Member) (admission, error) {
	return l.wait(ctx, j, me, nil)
}

// remove deletes the keys and returns nil when they are deleted. If it returns an error, the
// deletion continues in the background.
func (l *Line) remove(ctx context.Context, keys []string) error {
	gone := make(chan struct{}, len(keys))
	for _, key := range keys {
		l.Session.Compensate(core.Write{
			Compensation: core.Deletion(key),
			OnResolved:   func() { gone <- struct{}{} },
		})
	}
	ctx, cancel := l.Session.Bound(ctx)
	defer cancel()
	for range keys {
		select {
		case <-gone:
		case <-ctx.Done():
			return l.endCause(ctx, ctxerr.Of(ctx))
		}
	}
	return nil
}
