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

// The lock delay. After a hold that did not end cleanly the next one is held back, so that whoever lost the first has
// time to notice, however wrong the server was to take it.
//
// A marker beside the line says how the last hold ended: "clean:<fence>" is put in the transaction that gives a hold
// back, "held:<fence>" by each new holder before it is handed out. A new holder that finds the marker of a clean end of
// the member it saw leave goes on at once, any other waits. If it saw nobody leave, a marker "clean" of whomever will do,
// and so will none at all: nobody has held the lock under a delay yet.
//
// Members of other libraries leave no marker. A hold behind one that was seen to leave waits.

const delayPrefix = "holdfast/delay/"

var errReserved = fmt.Errorf("%w: the name lies among the lock-delay markers", gateway.ErrInvalid)

func (l *Line) marker() string { return delayPrefix + l.Name }

func clean(fence int64) string { return "clean:" + strconv.FormatInt(fence, 10) }
func held(fence int64) string  { return "held:" + strconv.FormatInt(fence, 10) }

// endedCleanly tells whether a marker is that of a clean end. One that this library does not write is not.
func endedCleanly(marker string) bool {
	fence, _ := strconv.ParseInt(strings.TrimPrefix(marker, "clean:"), 10, 64) // 0 if it is none
	return fence > 0 && marker == clean(fence)
}

// releaseOps go with the deletion of a member that gives its hold back.
func (l *Line) releaseOps(me Member) []gateway.Op {
	if l.Delay <= 0 {
		return nil
	}
	return []gateway.Op{gateway.OpPut(l.marker(), []byte(clean(me.Fence)))}
}

// awaitDelay marks the line as held and waits, if it must, until the delay is over.
func (l *Line) awaitDelay(ctx context.Context, h *core.Hold, before *lastLeft) error {
	if l.Delay <= 0 {
		return nil
	}
	from := time.Now()
	out, err := l.mark(ctx, h, before != nil)
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
	return pause(ctx, h, l.Delay-time.Since(from))
}

// spacePause is how often a member at the front looks whether a full database takes its marker.
const spacePause = time.Second

// mark puts the marker of a new holder. A full database refuses that, and without it the next
// holder could go on at once after an unclean end of this one. A member that has waited keeps its
// place until there is space.
func (l *Line) mark(ctx context.Context, h *core.Hold, waited bool) (core.Outcome, error) {
	marker := gateway.OpPut(l.marker(), []byte(held(h.Fence())), gateway.PrevKV())
	for {
		out, err := l.Session.Write(ctx, core.Write{
			If: []gateway.Cmp{h.Guard()}, Then: []gateway.Op{marker},
		})
		if !waited || !errors.Is(err, gateway.ErrNoSpace) {
			return out, err
		}
		if err := pause(ctx, h, spacePause); err != nil {
			return out, fmt.Errorf("%w: %w", err, gateway.ErrNoSpace)
		}
	}
}

// pause waits for d. It returns why the hold or ctx ended, if either does before.
func pause(ctx context.Context, h *core.Hold, d time.Duration) error {
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
