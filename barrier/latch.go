package barrier

import (
	"context"
	"math"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Latch names a latch that opens after n counts and never closes again. It is immutable and safe
// for concurrent use; making one does no I/O.
//
// Every count is a put of one key, <name>//count, so etcd's version of the key is the number of
// counts.
type Latch struct {
	place
}

const countSetting = "count"

// NewLatch names the latch that all sessions share under name, for n counts. All must use the same
// n. Calls return [gateway.ErrInvalid] if the name cannot be used or n is less than 1.
func NewLatch(s *session.Session, name string, n int) *Latch {
	return &Latch{newPlace(s, name, "latch", n, math.MaxInt)}
}

// CountDown counts once. An open latch stays open. CountDown returns [ErrConfigMismatch] when the
// name was declared otherwise, [session.ErrLost] when the session has ended, and the context's
// error when ctx ends first, with [gateway.ErrUncertain] if it may have counted; it never counts
// later, once the session has resolved that.
func (l *Latch) CountDown(ctx context.Context) error {
	return l.wrap("count down", l.countDown(ctx))
}

func (l *Latch) countDown(ctx context.Context) error {
	if err := l.check(ctx); err != nil {
		return err
	}
	declared, found := l.declared()
	for again := (line.Again{}); ; {
		resp, err := l.line.Session.Txn(ctx, gateway.Txn{
			If:   []gateway.Cmp{declared},
			Then: []gateway.Op{gateway.OpPut(l.line.SettingKey(countSetting), nil)},
			Else: []gateway.Op{found},
		})
		if err != nil || resp.Succeeded {
			return err
		}
		if resp.Responses != nil { // nil if only the branch is known: read again
			if err := l.declare(ctx, resp.Responses[0]); err != nil {
				return err
			}
		}
		if err := again.Wait(ctx); err != nil {
			return err
		}
	}
}

// left returns the number of counts until the latch opens.
func (l *Latch) left(v line.Snapshot) int { return max(0, l.n-int(v.Puts[countSetting].Version)) }

// Count reads the number of counts until the latch opens. It returns [ErrConfigMismatch] when the
// name was declared otherwise, [session.ErrLost] when the session has ended, and the context's
// error when ctx ends first.
func (l *Latch) Count(ctx context.Context) (int, error) {
	v, err := l.look(ctx)
	if err != nil {
		return 0, l.wrap("count", err)
	}
	return l.left(v), nil
}

// Wait returns nil when the latch is open. It returns [ErrConfigMismatch] when the name was
// declared otherwise, the context's error when ctx ends first, and [session.ErrLost] when the
// session ends.
func (l *Latch) Wait(ctx context.Context) error { return l.wrap("wait", l.wait(ctx)) }

func (l *Latch) wait(ctx context.Context) error {
	if err := l.check(ctx); err != nil {
		return err
	}
	return l.line.Until(ctx, func(v line.Snapshot) (bool, error) {
		return l.left(v) == 0, l.agrees(v)
	})
}
