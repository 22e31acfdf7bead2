package barrier

import (
	"context"
	"math"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Latch names a latch that opens, for good, after n counts. It is immutable and safe for concurrent use; making one does
// no I/O.
//
// Every count is a put of one key, <name>//count; etcd's version of the key is how many there were.
type Latch struct {
	place
}

const countSetting = "count"

// NewLatch names the latch that all sessions share under name, for n counts, which must be the same for all. Arguments
// that cannot be used are reported by the first call.
func NewLatch(s *session.Session, name string, n int) *Latch {
	return &Latch{newPlace(s, name, "latch", n, math.MaxInt)}
}

// CountDown counts once; to an open latch it makes no difference. If ctx ends first it may be [gateway.ErrUncertain]: it
// counted or it did not, and once the session has settled that, it never will.
func (l *Latch) CountDown(ctx context.Context) error { return l.wrap("count down", l.countDown(ctx)) }

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
		if resp.Responses != nil { // else only the branch is known: look again
			if err := l.declare(ctx, resp.Responses[0]); err != nil {
				return err
			}
		}
		if err := again.Wait(ctx); err != nil {
			return err
		}
	}
}

// left is how many counts are left.
func (l *Latch) left(v line.Snapshot) int { return max(0, l.n-int(v.Puts[countSetting].Version)) }

// Count is how many counts are left.
func (l *Latch) Count(ctx context.Context) (int, error) {
	v, err := l.look(ctx)
	if err != nil {
		return 0, l.wrap("count", err)
	}
	return l.left(v), nil
}

// Wait returns when the latch is open.
func (l *Latch) Wait(ctx context.Context) error { return l.wrap("wait", l.wait(ctx)) }

func (l *Latch) wait(ctx context.Context) error {
	if err := l.check(ctx); err != nil {
		return err
	}
	return l.line.Until(ctx, func(v line.Snapshot) (bool, error) { return l.left(v) == 0, l.agrees(v) })
}
