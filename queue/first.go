package queue

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// findFirst reads the stored gaps, and returns the place up to which the first read of a queue
// goes, or none if that reads all.
func (ic *itemCache) findFirst(ctx context.Context) (end string, _ error) {
	known, next, err := readGaps(ctx, ic.id.c, &ic.keys)
	if err != nil {
		return "", err
	}
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.gaps = known
	return known.first(next), nil
}

// readGaps reads the stored gaps, and the number of the next item.
func readGaps(ctx context.Context, c *gateway.Client, k *keys) (known gaps, next int64, _ error) {
	resp, err := c.Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(k.gaps), gateway.OpGet(k.tail),
	}})
	if err != nil {
		return gaps{}, 0, err
	}
	tail := resp.Responses[1].Get
	_, next = tailOf(tail)
	return gapsOf(resp.Responses[0].Get, tail), next, nil
}

// first returns the place up to which a first read goes, or none if it may read all, because at
// most reach items are left behind the last gap. Else it reads the first numbers of the most urgent
// priority of which items were removed, or of the lowest priority, and all that are more urgent.
func (g gaps) first(next int64) (end string) {
	last, from := int64(0), place(0, 0)
	for i, r := range g.list {
		last = max(last, numberOf(r.to))
		if i == 0 {
			from = r.from[:2] + from[2:]
		}
	}
	if next-last <= reach {
		return ""
	}
	ranges := g.near(from, firstReach)
	if end = ranges[len(ranges)-1].to; len(end) > placeLen {
		return ""
	}
	return end
}

// findItems returns a place behind the first item from a place on, up to which a read passes few
// items. It counts the first numbers of each priority, because etcd passes all keys of a range,
// also with a limit. If they have no item, it returns no place.
func findItems(
	ctx context.Context, c *gateway.Client, k *keys, known gaps, from string,
) (end string, _ error) {
	var ops []gateway.Op
	var ends []string
	for p := MaxPriority; p >= 0; p-- {
		first := max(place(p, 0), from)
		if first[0] != place(p, 0)[0] || len(first) < placeLen { // behind a foreign key, perhaps
			continue
		}
		if _, ok := priorityOf(first[:placeLen]); !ok {
			continue
		}
		ranges := known.near(first[:placeLen], reach)
		last := ranges[len(ranges)-1].to
		if len(last) > placeLen {
			continue
		}
		for _, r := range ranges {
			ops = append(ops, gateway.OpGet(k.items+r.from, gateway.Range(k.items+r.to),
				gateway.CountOnly()))
			ends = append(ends, last)
		}
	}
	if len(ops) == 0 {
		return "", nil
	}
	resp, err := c.Txn(ctx, gateway.Txn{Then: ops})
	if err != nil {
		return "", err
	}
	for i, r := range resp.Responses {
		if r.Get.Count > 0 {
			return ends[i], nil
		}
	}
	return "", nil
}

// near returns the ranges of places of a priority, from a place on, that are in no gap and have so
// many numbers.
func (g gaps) near(from string, left int64) (ranges []gap) {
	p, _ := priorityOf(from)
	for _, r := range g.list {
		if r.to <= from || r.from[0] != from[0] {
			continue
		}
		if from < r.from {
			part := gap{from, r.from}
			if left <= part.width() {
				break
			}
			left -= part.width()
			ranges = append(ranges, part)
		}
		from = r.to
	}
	return append(ranges, gap{from, place(p, numberOf(from)+left)})
}

// firstKeys returns the keys of the first n items.
func (q *Queue) firstKeys(ctx context.Context, n int) (first []gateway.KeyValue, _ error) {
	c := q.s.Client()
	known, next, err := readGaps(ctx, c, &q.keys)
	if err != nil {
		return nil, err
	}
	from, end := "", known.first(next)
	for step := 1; ; step++ {
		var same []gateway.Cmp
		if known.tail != 0 {
			same = append(same, gateway.CmpCreateRevision(q.keys.tail, gateway.Equal, known.tail))
		}
		resp, err := c.Txn(ctx, gateway.Txn{If: same, Then: getRanges(
			before(known.between(q.keys.items, from), q.keys.items, end),
			gateway.Limit(int64(n-len(first))), gateway.KeysOnly(),
		)})
		if err != nil {
			return nil, err
		}
		if !resp.Succeeded { // the numbers have begun again
			known, first, from, end = gaps{}, nil, "", ""
			continue
		}
		first = append(first, joined(resp.Responses).Get.KVs...)
		if len(first) >= n || end == "" {
			return first[:min(n, len(first))], nil
		}
		if from, end = end, ""; step < maxSteps {
			if end, err = findItems(ctx, c, &q.keys, known, from); err != nil {
				return nil, err
			}
		}
	}
}
