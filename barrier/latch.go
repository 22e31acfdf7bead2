package barrier

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Latch names a latch that opens after n counts and never closes again. It is immutable, and making
// one does no I/O.
//
// Every count is a put of one key, <name>//count, so etcd's version of the key is the number of
// counts.
type Latch struct {
	place
}

const countSetting = "count"

// NewLatch names the latch that all sessions share under name, for n counts, at least one. All must
// use the same n.
func NewLatch(s *session.Session, name string, n int) *Latch {
	return &Latch{newPlace(s, name, latch, n)}
}

// CountDown counts once. An open latch stays open. After [gateway.ErrUncertain] it may have
// counted; it never counts later, once the session has resolved that.
func (l *Latch) CountDown(ctx context.Context) error {
	err := l.check(ctx)
	if err == nil {
		t := gateway.Txn{Then: []gateway.Op{gateway.OpPut(l.line.SettingKey(countSetting), nil)}}
		t.If, t.Else = l.declared()
		err = l.line.DeclaringTxn(ctx, l.declare, t)
	}
	return l.line.Wrap("count down", err)
}

// Count reads the number of counts until the latch opens. Returns [ErrConfigMismatch] when another
// kind of barrier has declared the name. The function [CountLatch] needs no session.
func (l *Latch) Count(ctx context.Context) (int, error) {
	n, err := l.count(ctx, &l.line)
	return n, l.line.Wrap("count", err)
}

func (p *place) count(ctx context.Context, from reader) (int, error) {
	v, err := p.look(ctx, from)
	if err != nil {
		return 0, err
	}
	return p.left(v), nil
}

// Wait returns nil when the latch is open. Returns the context's error when ctx ends first. The
// function [WaitLatch] needs no session.
func (l *Latch) Wait(ctx context.Context) error {
	err := l.check(ctx)
	if err == nil {
		err = l.waitOpen(ctx, &l.line)
	}
	return l.line.Wrap("wait", err)
}

func (p *place) waitOpen(ctx context.Context, from reader) error {
	return from.Until(ctx, func(v line.Snapshot) (bool, error) {
		return p.left(v) == 0, p.agrees(v)
	})
}

// left returns the number of counts until the latch opens.
func (p *place) left(v line.Snapshot) int { return max(0, p.n-int(v.Puts[countSetting].Version)) }
