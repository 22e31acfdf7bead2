package shard

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/member"
)

// SetValue shows a value of the shard to others, for example an address, in [Holder.Value]. Without
// one, and after SetValue with an empty value, they see the member's value. The next owner of the
// shard begins without one.
//
// Returns [session.ErrNotHeld] when the shard has ended. After [gateway.ErrUncertain] the value may
// change until the session has resolved that. The next SetValue waits until then, so that the last
// one counts.
func (s *Shard) SetValue(ctx context.Context, value string) error {
	return wrap("set value", s.duty.group, s.setValue(ctx, value))
}

func (s *Shard) setValue(ctx context.Context, value string) error {
	if len(value) > member.MaxValue {
		return invalid("a value of %d bytes; %d are possible", len(value), member.MaxValue)
	}
	if err := s.Err(); err != nil { // looks at the clock
		return line.NotHeld(err)
	}
	select {
	case s.turn <- struct{}{}:
	case <-s.Context().Done():
		return line.NotHeld(s.Err())
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
	stored := s.duty.id
	if value != "" {
		stored += "\n" + value
	}
	next := func() { <-s.turn }
	err := s.line.PutValue(ctx, s.hold, stored, next)
	if !errors.Is(err, gateway.ErrUncertain) {
		next()
	}
	return err
}
