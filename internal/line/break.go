package line

import (
	"context"

	"github.com/holdfast-go/holdfast/internal/core"
)

// Break removes a member of any process; see session.Break. It also returns [gateway.ErrInvalid]
// for a key that is no member's.
func (l *Line) Break(ctx context.Context, key string, fence int64, reason string) error {
	err := l.CheckMember(key)
	if err == nil {
		err = core.SessionBreaker(l.Session).Break(ctx, key, fence, reason)
	}
	return l.Wrap("break", err)
}

// removed returns the error of a member that has lost its key while it waited: the session's error
// if its lease has ended too, and otherwise a [core.ErrKeyDeleted].
func (l *Line) removed(ctx context.Context, me Member) error {
	if err := l.Session.Verify(ctx); err != nil {
		return err
	}
	return l.Session.KeyDeleted(ctx, me.Key, me.Fence)
}
