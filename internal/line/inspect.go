package line

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Wrap names the recipe, the verb and the line in an error. It returns nil for nil.
func (l *Line) Wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s %q: %w", l.Kind, verb, l.Name, err)
}

// Inspect is [Line.Read] with the sessions of the members, in the order of the members. A member of
// another library has none.
func (l *Line) Inspect(ctx context.Context) (Snapshot, []*core.Info, error) {
	v, err := l.Read(ctx)
	if err != nil {
		return v, nil, err
	}
	var leases []gateway.LeaseID
	for _, m := range v.Members {
		if m.Lease() != 0 {
			leases = append(leases, m.Lease())
		}
	}
	found, err := l.Session.SessionInfos(ctx, leases...)
	infos := make([]*core.Info, len(v.Members))
	for i, m := range v.Members {
		if info, ok := found[m.Lease()]; ok {
			infos[i] = &info
		}
	}
	return v, infos, err
}

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

// Break removes a member of any process; see session.Break. It also returns [gateway.ErrInvalid]
// for a key that is no member's.
func (l *Line) Break(ctx context.Context, key string, fence int64, reason string) error {
	err := l.checkName()
	if err == nil && !isMember(key, l.prefix()) {
		err = fmt.Errorf("%w: %q is no member's key", gateway.ErrInvalid, key)
	}
	if err == nil {
		err = core.SessionBreaker(l.Session).Break(ctx, key, fence, reason)
	}
	return l.Wrap("break", err)
}
