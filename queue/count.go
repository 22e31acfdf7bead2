package queue

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// count sets the bound to the number of items at the revision that it returns. Unless the count has
// to be exact, the watch may be late.
func (p *producer) count(ctx context.Context, exact bool) (revision int64, _ error) {
	if n, at, ok := p.room.length(); ok && at >= p.end.mod && !exact {
		p.end.bound = n
		return at, nil
	}
	n, at, got, err := p.countItems(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.seeTail(got, at); err != nil {
		return 0, err
	}
	p.end.bound = n
	return at, nil
}

// countItems returns the number of items that MaxLength limits at a revision, and the tail.
func (p *producer) countItems(
	ctx context.Context,
) (n, revision int64, _ *gateway.GetResponse, _ error) {
	resp, err := p.betweenGaps(ctx, func(known gaps) []gateway.Op {
		return append([]gateway.Op{
			gateway.OpGet(p.keys.tail),
			gateway.OpGet(p.keys.delayed, gateway.Prefix(), gateway.CountOnly()),
		}, getRanges(known.between(p.keys.items, ""), gateway.CountOnly())...)
	})
	if err != nil {
		return 0, 0, nil, err
	}
	return countOf(resp.Responses[1:]), resp.Revision, resp.Responses[0].Get, nil
}
