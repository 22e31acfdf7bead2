package line

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// The lock delay. If a hold did not end with a release, the next member waits before it is granted
// the line, so that the last holder has time to notice the loss, even if the server was wrong to
// expire its lease.
//
// A marker beside the line records the state of the last hold. A new holder puts "held:<fence>"
// before it is granted the line, and a release puts "clean:<fence>" in its transaction. A new
// holder that saw a member leave is granted the line at once only if the marker is "clean" with
// that member's fence. A new holder that saw no member leave is granted the line at once if the
// marker is "clean" with any fence, or if there is no marker, because then no member has held the
// line under a delay yet.
//
// Members of other libraries write no marker, so a member that saw one of these leave waits.

const delayPrefix = "holdfast/delay/"

func (l *Line) marker() string { return delayPrefix + l.Name }

func clean(fence int64) string { return "clean:" + strconv.FormatInt(fence, 10) }
func held(fence int64) string  { return "held:" + strconv.FormatInt(fence, 10) }

// endedCleanly reports whether a marker was written by a release. A marker in a form that this
// library does not write is not.
func endedCleanly(marker string) bool {
	fence, _ := strconv.ParseInt(strings.TrimPrefix(marker, "clean:"), 10, 64) // 0 if invalid
	return fence > 0 && marker == clean(fence)
}

// releaseOps returns the operations that a release runs with the deletion of the member's key.
func (l *Line) releaseOps(a admitted) []gateway.Op {
	switch {
	case l.Delay > 0:
		return []gateway.Op{gateway.OpPut(l.marker(), []byte(clean(a.Fence)))}
	case a.marks:
		return []gateway.Op{l.putMark(a.Member)}
	}
	return nil
}

// awaitDelay marks the line as held and waits until the delay, if there is one, is over.
func (l *Line) awaitDelay(
	ctx context.Context, h *core.Hold, me Member, before *lastLeft,
) error {
	if l.Delay <= 0 {
		return nil
	}
	from := time.Now()
	out, err := l.mark(ctx, h, me, before != nil)
	switch {
	case err != nil:
		return err
	case !out.Applied:
		return errRemoved
	}
	var was string
	if prev := out.Responses[0].Put.PrevKV; prev != nil {
		was = string(prev.Value)
	}
	if before != nil && before != nobodySeen {
		from = before.at
		if was == clean(before.Fence) {
			return nil
		}
	} else if out.Responses[0].Put.PrevKV == nil || endedCleanly(was) {
		return nil
	}
	return Pause(ctx, h, l.Delay-time.Since(from))
}

// mark puts the marker of a new holder. Without it, the next holder would not wait after an unclean
// end of this one. A full database refuses the put: a member that has waited in the line then keeps
// its place until there is space, and any other returns the error.
func (l *Line) mark(
	ctx context.Context, h *core.Hold, me Member, waited bool,
) (core.Outcome, error) {
	marker := gateway.OpPut(l.marker(), []byte(held(me.Fence)), gateway.PrevKV())
	for {
		out, err := h.Write(ctx, core.Write{Then: []gateway.Op{marker}})
		if !waited || !errors.Is(err, gateway.ErrNoSpace) {
			return out, err
		}
		if err := Pause(ctx, h, spacePause); err != nil {
			return out, fmt.Errorf("%w: %w", err, gateway.ErrNoSpace)
		}
	}
}

// Pause returns nil after d. It returns the error of the hold or of ctx if either ends before.
func Pause(ctx context.Context, h *core.Hold, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-h.Context().Done():
		return context.Cause(h.Context()) //nolint:contextcheck // it only reads why the hold ended
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}
