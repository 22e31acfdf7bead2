package line

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// A rule that does not admit all members of the front of a line decides by that front alone. So a
// member far back need not read the members in the middle to find out whether its predecessor
// waits.

// readAround returns the line without the members behind a member, and perhaps without members in
// the middle that the rule does not admit. If the member is likely to be at the front, that is read
// alone first, because etcd looks at all keys of the line for each end of it.
func (l *Line) readAround(
	ctx context.Context, j Join, me Member, atFront bool,
) (v Snapshot, err error) {
	front, enough := j.front(), false
	if atFront {
		v, enough, err = l.tryAround(ctx, me, front, false)
	}
	for ; !enough && err == nil; front *= 8 {
		v, enough, err = l.tryAround(ctx, me, front, true)
	}
	return v, err
}

// tryAround is readAround with so many keys at the front, and with both ends or the front alone.
// enough is false if the rule may admit more members.
func (l *Line) tryAround(
	ctx context.Context, me Member, front int64, both bool,
) (v Snapshot, enough bool, _ error) {
	ahead := func(order gateway.SortOrder, limit int64) gateway.Op {
		return gateway.OpGet(l.prefix(), gateway.Prefix(), gateway.MaxCreateRevision(me.Fence),
			gateway.SortBy(gateway.SortCreateRevision, order), gateway.Limit(limit))
	}
	reads := []gateway.Op{
		gateway.OpGet(l.SettingKey(""), gateway.Prefix()),
		ahead(gateway.Ascend, front),
	}
	if both {
		reads = append(reads, ahead(gateway.Descend, 2))
	}
	resp, err := l.Session.Client().Txn(ctx, gateway.Txn{Then: reads})
	if err != nil {
		return Snapshot{}, false, err
	}
	whole := *resp
	resp.Responses = whole.Responses[:2]
	v = snapshotOf(merged(resp), l.prefix())
	if more := whole.Responses[1].Get.More; !more || !both {
		return v, !more, nil
	}
	pair := snapshotOf(whole.Responses[2].Get, l.prefix()).Members
	enough = l.Rule(v) < len(v.Members) && len(pair) == 2 && pair[1].is(me)
	return snapshotOf(merged(&whole), l.prefix()), enough, nil
}

// front returns the number of keys at the front of the line that show that the rule does not admit
// a member far back, if nothing unusual is there.
func (j Join) front() int64 {
	if j.Most <= 0 || j.Most > directWatchThreshold {
		return frontRead
	}
	const settings, waiting = 2, 1
	return int64(j.Most) + settings + waiting
}
