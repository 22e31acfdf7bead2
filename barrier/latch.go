package barrier

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Latch names a latch that opens, for good, after n counts. It is immutable and safe for concurrent use; making one does
// no I/O.
//
// Every count is a key of its own, <name>//count-<lease>-<n>, without a lease: writing it twice counts once. Whoever
// brings the n-th replaces them all by <name>//open, after which none is written any more.
type Latch struct {
	place
}

const (
	openSetting  = "open"
	countSetting = "count-"
)

// counts tells apart the counts of the sessions of this process.
var counts atomic.Int64

// NewLatch names the latch that all sessions share under name, for n counts, which must be the same for all. Arguments
// that cannot be used are reported by the first call.
func NewLatch(s *session.Session, name string, n int) *Latch {
	return &Latch{newPlace(s, name, "latch", n)}
}

// CountDown counts once; an open latch does not count. If ctx ends first it may be [gateway.ErrUncertain]: it counted or
// it did not, and once the session has settled that, it never will.
func (l *Latch) CountDown(ctx context.Context) error {
	if err := l.countDown(ctx); err != nil {
		return l.wrap("count down", err)
	}
	return nil
}

func (l *Latch) countDown(ctx context.Context) error {
	if err := l.check(ctx, math.MaxInt); err != nil {
		return err
	}
	s := l.line.Session
	key := l.line.SettingKey(fmt.Sprintf("%s%s-%d", countSetting, s.Lease(), counts.Add(1)))
	for {
		out, err := s.Write(ctx, session.Write{
			If:   []gateway.Cmp{l.declared(), gateway.CreateRevision(l.line.SettingKey(openSetting), gateway.Equal, 0)},
			Then: append([]gateway.Op{gateway.OpPut(key, nil)}, l.look()...),
			Else: l.look(),
		})
		if err != nil {
			return err
		}
		parties, left := l.seen(out.Responses[len(out.Responses)-len(l.look()):])
		if out.Applied {
			if left == 0 {
				l.open(ctx)
			}
			return nil
		}
		if err := l.matches(ctx, parties); err != nil || left == 0 {
			return err
		}
	}
}

// look reads what is needed to know how many counts are left.
func (l *Latch) look() []gateway.Op {
	return []gateway.Op{
		gateway.OpGet(l.line.SettingKey(partiesSetting)),
		gateway.OpGet(l.line.SettingKey(openSetting), gateway.CountOnly()),
		gateway.OpGet(l.line.SettingKey(countSetting), gateway.Prefix(), gateway.CountOnly()),
	}
}

func (l *Latch) seen(answers []gateway.OpResponse) (parties string, left int) {
	if kvs := answers[0].Get.KVs; len(kvs) == 1 {
		parties = string(kvs[0].Value)
	}
	if answers[1].Get.Count > 0 {
		return parties, 0
	}
	return parties, max(0, l.n-int(answers[2].Get.Count))
}

// open cleans up behind the last count, without which the latch is as open.
func (l *Latch) open(ctx context.Context) {
	_, _ = l.line.Session.Write(ctx, session.Write{Then: []gateway.Op{
		gateway.OpPut(l.line.SettingKey(openSetting), nil),
		gateway.OpDelete(l.line.SettingKey(countSetting), gateway.Prefix()),
	}})
}

// Count is how many counts are left.
func (l *Latch) Count(ctx context.Context) (int, error) {
	left, err := l.count(ctx)
	if err != nil {
		return 0, l.wrap("count", err)
	}
	return left, nil
}

func (l *Latch) count(ctx context.Context) (int, error) {
	if err := l.check(ctx, math.MaxInt); err != nil {
		return 0, err
	}
	resp, err := l.line.Session.Client().Txn(ctx, gateway.Txn{Then: l.look()})
	if err != nil {
		return 0, err
	}
	parties, left := l.seen(resp.Responses)
	return left, l.agrees(parties)
}

// Wait returns when the latch is open.
func (l *Latch) Wait(ctx context.Context) error {
	if err := l.check(ctx, math.MaxInt); err != nil {
		return l.wrap("wait", err)
	}
	for v, err := range l.line.Follow(ctx) {
		if err == nil {
			err = l.agrees(v.Settings[partiesSetting])
		}
		if err != nil {
			return l.wrap("wait", err)
		}
		if l.isOpen(v) {
			break
		}
	}
	return nil
}

func (l *Latch) isOpen(v line.View) bool {
	counted := 0
	for what := range v.Settings {
		if what == openSetting {
			return true
		}
		if strings.HasPrefix(what, countSetting) {
			counted++
		}
	}
	return counted >= l.n
}
