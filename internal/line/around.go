package line

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// A rule that does not admit all members of the front of a line decides by that front alone. So a
// member far back need not read the members in the middle to find out whether its predecessor
// waits.

// readAround returns the line without the members behind a member, and perhaps without members in
// the middle that the rule does not admit.
func (l *Line) readAround(ctx context.Context, me Member) (v Snapshot, err error) {
	for front, enough := int64(frontRead), false; !enough && err == nil; front *= 8 {
		v, enough, err = l.tryAround(ctx, me, front)
	}
	return v, err
}

// tryAround is readAround with so many keys at the front. enough is false if the rule may admit
// more members.
func (l *Line) tryAround(
	ctx context.Context, me Member, front int64,
) (v Snapshot, enough bool, _ error) {
	ahead := func(order gateway.SortOrder, limit int64) gateway.Op {
		return gateway.OpGet(l.prefix(), gateway.Prefix(), gateway.MaxCreateRevision(me.Fence),
			gateway.SortBy(gateway.SortCreateRevision, order), gateway.Limit(limit))
	}
	resp, err := l.Session.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(l.SettingKey(""), gateway.Prefix()),
		ahead(gateway.Ascend, front),
		ahead(gateway.Descend, 2),
	}})
	if err != nil {
		return Snapshot{}, false, err
	}
	read := &gateway.GetResponse{Header: resp.Header}
	seen := map[string]bool{}
	add := func(i int) Snapshot {
		for _, kv := range resp.Responses[i].Get.KVs {
			if !seen[kv.Key] {
				seen[kv.Key] = true
				read.KVs = append(read.KVs, kv)
			}
		}
		return snapshotOf(read, l.prefix())
	}
	add(0)
	v = add(1)
	n := len(v.Members)
	if !resp.Responses[1].Get.More {
		return v, true, nil
	}
	pair := snapshotOf(resp.Responses[2].Get, l.prefix()).Members
	enough = n >= directWatchThreshold && l.Rule(v) < n && len(pair) == 2 && pair[1].is(me)
	return add(2), enough, nil
}
