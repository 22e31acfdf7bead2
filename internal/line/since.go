package line

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
)

// InspectHolds is [Line.Inspect] with the times at which the holders were granted their holds, by
// the clocks of their processes. The time is zero for a waiter, and for a holder without a
// [Line.MaxHold].
func (l *Line) InspectHolds(ctx context.Context) (Snapshot, []*core.Info, []time.Time, error) {
	v, infos, err := l.Inspect(ctx)
	if err != nil {
		return v, nil, nil, err
	}
	holders := v.Members[:l.Rule(v)]
	holds := make([]core.HeldKey, len(holders))
	for i, m := range holders {
		holds[i] = core.HeldKey{Key: m.Key, Fence: m.Fence, Lease: m.Lease()}
	}
	found, err := core.HeldSince(ctx, l.Session, holds)
	since := make([]time.Time, len(v.Members))
	copy(since, found)
	return v, infos, since, err
}
